// A LogBook keeps the newest lines that each function's replicas wrote, for `mayfly logs`.
//
// Bounded for each function by lines and by bytes: the oldest go first. Every line has a number above all
// earlier ones, so that a reader who asks for what comes after a number sees each line once.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace mayfly::op {

struct LogLine {
  std::uint64_t number = 0;  // from 1
  std::chrono::system_clock::time_point time;
  std::string replica;
  std::string text;
};

class LogBook {
 public:
  struct Limits {
    std::size_t lines = 2'000;
    std::size_t bytes = 1u << 20;
  };

  explicit LogBook(Limits limits) : limits_(limits) {}

  void Append(const std::string& function, std::string replica, std::string text);

  // The newest `count` lines, oldest first.
  std::vector<LogLine> Tail(const std::string& function, std::size_t count) const;
  // Up to `count` lines with numbers above `after`, oldest first. Waits until there is one, or `deadline`, or
  // Close().
  std::vector<LogLine> After(const std::string& function, std::uint64_t after, std::size_t count,
                             std::chrono::steady_clock::time_point deadline) const;
  // Forgets the function's lines.
  void Forget(const std::string& function);
  // Wakes everybody who waits, now and later.
  void Close();

 private:
  struct Log {
    std::size_t bytes = 0;
    std::deque<LogLine> lines;
  };

  const Limits limits_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool closed_ = false;              // guarded by mutex_
  std::uint64_t last_ = 0;           // guarded by mutex_
  std::map<std::string, Log> logs_;  // guarded by mutex_
};

}  // namespace mayfly::op
