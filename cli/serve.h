// Serving in the foreground: what `mayfly up` and `mayfly dev` share.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/local_stack.h"

namespace mayfly::cli {

struct ServeOptions {
  LocalStackOptions stack;
  bool json_logs = false;
  bool pretty = false;  // lines of functions begin with their names
  // Runs beside the stack once it is ready, on a thread of its own, until it is told to stop.
  std::function<void(LocalStack&, const std::stop_token&)> beside;
};

// Starts everything, says how to call each function, then "mayfly: ready URL", then logs until SIGINT or SIGTERM.
// Returns the exit code. A second signal ends it at once.
int Serve(ServeOptions options);

}  // namespace mayfly::cli
