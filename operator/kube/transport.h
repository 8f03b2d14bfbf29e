// A Transport carries HTTP requests to the one API server of a configuration.
//
// An answer of whatever code is an OK result here; an error is that there was none, or not whole:
//   kUnavailable        no connection, or it broke
//   kDeadlineExceeded   the deadline came
//   kCancelled          the stop token said so
//   kResourceExhausted  the answer is larger than allowed
//   kUnauthenticated    the server's certificate is not to be trusted, or there are no credentials
//
// Thread-safe; calls block their thread and nothing else. Tests put a double in its place.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace mayfly::kube {

struct HttpRequest {
  std::string method = "GET";
  std::string target = {};  // path and query
  std::string body = {};
  std::string content_type = {};  // of the body
  std::string accept = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};  // more of them
};

struct HttpResponse {
  int code = 0;
  std::string body = {};
  std::optional<std::chrono::seconds> retry_after = {};
  // If TransferOptions::keep_headers; names in lower case.
  std::map<std::string, std::string> headers = {};
};

struct TransferOptions {
  base::MonotonicTime deadline = {};
  std::stop_token stop = {};
  // The connection is given up if no byte comes for so long; 0: only the deadline counts.
  std::chrono::milliseconds idle_timeout{0};
  bool keep_headers = false;
  // Told once, when the head of a 2xx answer is there.
  std::function<void()> on_begin = {};
  // Gets the body of a 2xx answer as it comes, which is then not kept. Returns false to end the transfer,
  // which then ends well. Called on the caller's thread.
  std::function<bool(std::string_view bytes)> on_bytes = {};
};

class Transport {
 public:
  virtual ~Transport() = default;

  virtual absl::StatusOr<HttpResponse> Send(const HttpRequest& request, const TransferOptions& options) = 0;
};

}  // namespace mayfly::kube
