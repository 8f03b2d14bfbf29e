// A LogPrinter writes what functions log to standard error, from a thread of its own.
//
// A terminal that is stopped, or a slow pipe, must not hold up the thread that starts and watches replicas: what does
// not fit into the printer's bounded queue is dropped and counted, and one line says how much was. `mayfly logs` still
// has it.
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace mayfly::cli {

class LogPrinter {
 public:
  // With `pretty`, a line begins with its function's name, and both are coloured where standard error is a terminal.
  explicit LogPrinter(bool pretty);
  // Prints what is queued, for a moment at most.
  ~LogPrinter();

  void Print(const std::string& function, std::string_view line);

 private:
  void Run(const std::stop_token& stop);
  std::string Shown(const std::string& function, std::string_view line) const;

  const bool pretty_;
  std::mutex mutex_;
  std::condition_variable_any filled_;
  std::deque<std::string> lines_;  // guarded by mutex_
  std::uint64_t dropped_ = 0;      // guarded by mutex_
  std::jthread thread_;
};

}  // namespace mayfly::cli
