// What a call of a function from the command line is made of, and what it tells of its answer; `mayfly invoke` and
// `kubectl mayfly invoke` share it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace CLI {
class App;
}

namespace mayfly::cli {

// What the options of a call say.
struct CallOptions {
  std::string body;  // as -d has it; see ReadBody()
  bool has_body = false;
  std::string method;
  std::vector<std::string> headers;
  std::string path;
  bool quiet = false;
  int timeout_seconds = 300;
};

// Adds them to `command`; parsing it fills `options`.
void AddCallOptions(CLI::App& command, const std::shared_ptr<CallOptions>& options);

// -X, or what is usual with and without a body.
std::string MethodOf(const CallOptions& options);

// The body that -d means: text, @FILE, or - for standard input.
absl::StatusOr<std::string> ReadBody(const std::string& given);

// "NAME: VALUE" of -H. kInvalidArgument if it is none.
absl::StatusOr<std::pair<std::string, std::string>> ParseHeader(const std::string& text);

struct CallAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// Writes the body of an answer to standard output, as it comes.
class BodyPrinter {
 public:
  // False if it could not be written.
  bool Write(std::string_view part);
  // People's terminals get a line's end after a body without one.
  void Finish();

 private:
  char last_ = '\n';
};

// Tells what a call came to, to standard error: unless `quiet` what it cost, and why it failed if it did. Returns the exit
// code.
int TellOutcome(const CallAnswer& answer, double client_ms, bool quiet);

}  // namespace mayfly::cli
