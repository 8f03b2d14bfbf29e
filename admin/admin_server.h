// An AdminServer is a process' back door for its operators: /metrics, /healthz and /readyz.
//
// It listens on a TCP port or on a Unix socket, apart from where events come in, and is never public. Other
// pages can be added by whoever owns the process. Its clients are probes and scrapers: it takes 64 connections
// at once, and two requests at a time.
//
// Handlers run on the server's own two threads, and so at once with each other. Destroying it stops it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/metrics.h"
#include "base/status.h"

namespace mayfly::admin {

struct Request {
  std::string method;
  std::string path;  // as it was sent, without the query
  std::string body;
  // The value of query parameter `name` as it was sent, or "".
  std::function<std::string(const std::string& name)> query;
};

struct Reply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

class AdminServer {
 public:
  using Handler = std::function<Reply(const Request&)>;

  // `metrics` must outlive the server. `ready` says "" or why the process is not ready to serve.
  AdminServer(const base::Metrics& metrics, std::function<std::string()> ready);
  ~AdminServer();

  // Serves `handler` at `method` and paths with the segments of `pattern`, where "*" is any one segment. The first
  // that matches serves; a HEAD is served by the handler of its GET. Call before Start().
  void Handle(const std::string& method, const std::string& pattern, Handler handler);

  // Listens on `address`: "127.0.0.1:9090" (port 0: any) or "unix:/path" (mode 0600), and returns the address
  // bound. kUnavailable if it cannot be bound, with the system's reason.
  absl::StatusOr<std::string> Start(const std::string& address);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::admin
