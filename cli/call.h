// What a call of a function from the command line is made of, and what it tells of its answer; `mayfly invoke` and
// `kubectl mayfly invoke` share it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace mayfly::cli {

// The body that -d means: text, @FILE, or - for standard input.
absl::StatusOr<std::string> ReadBody(const std::string& given);

// "NAME: VALUE" of -H. kInvalidArgument if it is none.
absl::StatusOr<std::pair<std::string, std::string>> ParseHeader(const std::string& text);

struct CallAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// Prints the body, and unless `quiet` what it cost, to standard error. Returns the exit code.
int TellAnswer(const CallAnswer& answer, double client_ms, bool quiet);

}  // namespace mayfly::cli
