// A Verdict holds what happened to each request against what was killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "tests/chaos/executioner.h"
#include "tests/chaos/storm.h"

namespace mayfly::chaos {

// One request and its end.
struct Exchange {
  enum Kind { kRight, kWrong, kRefused, kCut, kHung };
  std::chrono::steady_clock::time_point begin;
  std::chrono::steady_clock::time_point end;
  Kind end_kind = kRight;
  int status = 200;
  std::string text;  // the body of a refusal, or what was wrong
};

// What a request may take beyond its function's timeout.
inline constexpr std::chrono::seconds kLate{2};

class Verdict {
 public:
  explicit Verdict(const StormOptions& options) : options_(options) {}

  void Violation(const std::string& kind, const std::string& what);
  // Fills in the report but for its times of the end. `log` is all that `mayfly up` wrote.
  void Judge(const std::vector<Exchange>& exchanges, const std::vector<Kill>& kills, const std::string& log,
             StormReport& report);

 private:
  void JudgeExchange(const Exchange& exchange, const std::vector<Kill>& kills, StormReport& report);
  void JudgeRefusal(const Exchange& exchange, const std::vector<Kill>& kills, StormReport& report);
  static void JudgeTimes(const std::vector<Exchange>& exchanges, StormReport& report);

  const StormOptions& options_;
  std::map<std::string, std::vector<std::string>> violations_;  // by kind
  std::map<std::string, pid_t> worker_of_;                      // by invocation, as far as the log says
  std::map<pid_t, int> lost_with_worker_;
  std::map<std::string, int> lost_with_replica_;
};

}  // namespace mayfly::chaos
