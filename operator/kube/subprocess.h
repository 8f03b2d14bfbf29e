// Runs a program to its end and returns what it wrote to stdout.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace mayfly::kube {

struct Subprocess {
  std::string program;  // a path, or a name that is looked for in PATH
  std::vector<std::string> arguments;
  // Added to this process's environment.
  std::vector<std::pair<std::string, std::string>> environment;
  std::size_t max_output = 1u << 20;
};

// The program reads /dev/null, leads a process group of its own, and is killed with that group at `deadline`
// or when it writes too much. Errors: kNotFound if there is no such program, kDeadlineExceeded, kAborted if it
// ended badly; the message ends with the last it wrote to stderr. Blocks; thread-safe.
absl::StatusOr<std::string> RunSubprocess(const Subprocess& process, base::MonotonicTime deadline);

}  // namespace mayfly::kube
