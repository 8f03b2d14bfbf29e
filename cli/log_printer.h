// A LogPrinter writes what functions log to standard error.
//
// It writes where this process' own lines go, and waits for nobody as they do: see base::LineSink. Of that one's queue it
// leaves a part to them, so that a chatty function costs other lines of functions only. `mayfly logs` still has what is
// dropped.
//
// Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace mayfly::cli {

class LogPrinter {
 public:
  // With `pretty`, a line begins with its function's name, and both are coloured where standard error is a terminal.
  explicit LogPrinter(bool pretty) : pretty_(pretty) {}

  void Print(const std::string& function, std::string_view line) const;

 private:
  std::string Shown(const std::string& function, std::string_view line) const;

  const bool pretty_;
};

}  // namespace mayfly::cli
