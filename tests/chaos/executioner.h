// An Executioner kills workers and runtimes below one `mayfly up`, at random and at fixed intervals.
//
// Its thread starts with it and ends with Stop(). Not thread-safe otherwise.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/chaos/storm.h"

namespace mayfly::chaos {

struct Kill {
  enum Kind { kWorker, kRuntime };
  Kind kind = kWorker;
  pid_t pid = -1;
  std::string replica;  // of a runtime: its name, as failures tell it
  // The signal was sent between these.
  std::chrono::steady_clock::time_point before;
  std::chrono::steady_clock::time_point after;
};

class Executioner {
 public:
  Executioner(const StormOptions& options, pid_t mayfly);

  // What was killed, in order.
  std::vector<Kill> Stop();

 private:
  void Run(const std::stop_token& stop);
  void KillOne(Kill::Kind kind);

  const StormOptions options_;
  const pid_t mayfly_;
  std::mt19937 random_;
  std::vector<Kill> kills_;  // of the thread until Stop()
  std::jthread thread_;
};

}  // namespace mayfly::chaos
