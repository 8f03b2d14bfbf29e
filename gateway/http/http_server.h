// The HttpServer is the front door for HTTP: it listens, reads requests strictly, routes them to functions,
// gives them to a Dispatcher and writes the answers.
//
// One event loop per core serves its share of the connections; a new connection goes to the loop that has
// fewest. Errors are JSON {requestId, component, reason, message}. A request with "Mayfly-Metering: true" is
// told what it cost: Mayfly-Wall-Ms, Mayfly-Cpu-Ms, Mayfly-Peak-Rss-Bytes and Mayfly-Cold, as headers if the
// answer is whole when it begins, else as trailers; and Mayfly-Invocation-Id.
//
// Thread-safe. Stopping, in order: no new connections; idle ones are closed, others answer with Connection:
// close; at the deadline invocations that still run are cancelled, and their callers get a 503, or an answer that is cut
// if it has begun.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/status.h"
#include "gateway/delivery/dispatcher.h"
#include "gateway/http/http_options.h"
#include "gateway/routing/router.h"

namespace mayfly::gateway {

class HttpServer {
 public:
  // `router`, `dispatcher` and `metrics` must outlive the server.
  HttpServer(HttpOptions options, const Router& router, Dispatcher& dispatcher, base::Metrics& metrics);
  // Stops at once if Stop() was not called.
  ~HttpServer();

  // Listens, and returns the address bound ("127.0.0.1:8080"). kInvalidArgument for an address that is none;
  // kUnavailable if it cannot be bound, with who holds the port where that can be found. Call once.
  absl::StatusOr<std::string> Start();

  // Idempotent.
  void Stop(std::chrono::steady_clock::time_point deadline);

  std::size_t connections() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::gateway
