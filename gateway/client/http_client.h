// An HttpClient sends requests to servers of others: the certificates of SNS, and the URLs that results go to.
//
// What it may reach is bounded: http and https alone, no redirects (a 3xx is an answer), and no address that is only this
// machine's or its network's own business: link-local ones, where clouds serve credentials, and loopback unless the
// options say so. HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE of the environment count.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace mayfly::gateway {

struct HttpCall {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  std::chrono::milliseconds timeout{10'000};
  // What is kept of the answer's body.
  std::size_t most_answer = std::size_t{64} << 10;
};

struct HttpResult {
  int status = 0;
  // Names in lower case.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool cut = false;  // the body was longer than what is kept
};

class HttpClient {
 public:
  using Done = std::function<void(absl::StatusOr<HttpResult>)>;
  virtual ~HttpClient() = default;

  // `done` is called once, on any thread, and must not block: with whatever the server answers, kUnavailable or
  // kDeadlineExceeded if none does, kPermissionDenied for an address that is not reached, kInvalidArgument for a URL that
  // is none, kResourceExhausted while too many calls are under way.
  virtual void Send(HttpCall call, Done done) = 0;
};

struct HttpClientOptions {
  std::string user_agent = "mayfly-gateway";
  bool loopback = false;  // may be reached: on one machine, where tests and tools are
  std::size_t most_at_once = 1'000;
};

// With libcurl. One thread, `gw-client`, which starts with the first call. What is under way when it is destroyed ends
// with kUnavailable.
std::unique_ptr<HttpClient> MakeHttpClient(HttpClientOptions options);

}  // namespace mayfly::gateway
