// One HTTP request from the command line, with libcurl: its answer may be streamed, of any length, and end with trailers.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cli/call.h"

namespace mayfly::cli {

struct HttpRequest {
  std::string method;
  std::string url;  // http:// or https://
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  bool has_body = false;
  int timeout_seconds = 300;  // how long nothing may come
};

// The answer once it is complete, its trailers among its headers; of its body what an explanation may be in, as `on_body`
// has had all of it, as it came. No redirect is followed. kUnavailable: nothing listens there, or the name is unknown;
// kAborted: `on_body` said false; kDeadlineExceeded, kDataLoss: there is no whole answer; kInvalidArgument: the URL is none.
absl::StatusOr<CallAnswer> SendCall(const HttpRequest& request,
                                    const std::function<bool(std::string_view)>& on_body);

}  // namespace mayfly::cli
