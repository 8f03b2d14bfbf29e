// Running other programs (cmake, cargo, compilers) and hearing what they say.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mayfly::cli {

// The path of `program` on the PATH, or "".
std::string FindProgram(const std::string& program);

struct RunOptions {
  std::vector<std::string> command;  // its program is looked up on the PATH
  std::string folder;                // where it runs; "" for here
  // Called with what it writes to standard output and standard error, as it comes.
  std::function<void(std::string_view)> output;
  // Kills it, and what it started.
  std::stop_token stop;
  // A terminal's Ctrl-C reaches it too. Set for commands that do nothing but this.
  bool foreground = false;
};

// Runs it with this process's environment and returns its exit code, or 128 + the signal that ended it.
// kNotFound if there is no such program; kCancelled if it was stopped.
absl::StatusOr<int> RunProgram(const RunOptions& options);

}  // namespace mayfly::cli
