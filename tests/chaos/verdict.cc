#include "tests/chaos/verdict.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace mayfly::chaos {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kToldOfAKind = 5;
// A process that was sent SIGKILL still takes requests for as long as the kernel needs to end it and close its sockets.
// What it took then is lost as what it ran is: nobody can tell them apart any more.
constexpr milliseconds kUnnoticed{100};

// The value of "key=value" in a line of the log; "" if it has none.
std::string Value(const std::string& line, const char* key) {
  const std::string before = absl::StrCat(" ", key, "=");
  const std::size_t at = line.find(before);
  if (at == std::string::npos) return "";
  const std::size_t begin = at + before.size();
  return line.substr(begin, line.find(' ', begin) - begin);
}

}  // namespace

void Verdict::Violation(const std::string& kind, const std::string& what) {
  violations_[kind].push_back(what);
}

void Verdict::Judge(const std::vector<Exchange>& exchanges, const std::vector<Kill>& kills,
                    const std::string& log, StormReport& report) {
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    if (Value(line, "reason") == "WorkerKilled" && !Value(line, "invocation").empty()) {
      worker_of_[Value(line, "invocation")] = std::atoi(Value(line, "pid").c_str());
    }
  }
  report.requests = static_cast<int>(exchanges.size());
  if (report.requests != options_.requests)
    Violation("requests", absl::StrCat(report.requests, " were sent"));
  for (const Kill& kill : kills) {
    ++(kill.kind == Kill::kWorker ? report.workers_killed : report.runtimes_killed);
  }
  for (const Exchange& exchange : exchanges) JudgeExchange(exchange, kills, report);
  for (const auto& [pid, lost] : lost_with_worker_) {
    if (lost > 1) Violation("lost with one worker", absl::StrCat(lost, " requests, process ", pid));
  }
  for (const auto& [replica, lost] : lost_with_replica_) {
    if (lost > options_.concurrency) {
      Violation("lost with one runtime", absl::StrCat(lost, " requests of ", replica));
    }
  }
  if (report.failed["WorkerKilled"] > report.workers_killed) {
    Violation("lost with workers", absl::StrCat(report.failed["WorkerKilled"], " requests"));
  }
  JudgeTimes(exchanges, report);
  for (const auto& [kind, each] : violations_) {
    for (std::size_t i = 0; i < each.size() && i < kToldOfAKind; ++i) {
      report.violations.push_back(absl::StrCat(kind, " (", i + 1, " of ", each.size(), "): ", each[i]));
    }
  }
}

void Verdict::JudgeExchange(const Exchange& exchange, const std::vector<Kill>& kills, StormReport& report) {
  switch (exchange.end_kind) {
    case Exchange::kRight:
      ++report.right;
      break;
    case Exchange::kWrong:
      Violation("wrong answer", exchange.text);
      break;
    case Exchange::kCut:
      Violation("connection cut", exchange.text);
      break;
    case Exchange::kHung:
      Violation("hang", exchange.text);
      break;
    case Exchange::kRefused:
      JudgeRefusal(exchange, kills, report);
      break;
  }
  const auto took = duration_cast<milliseconds>(exchange.end - exchange.begin);
  if (took > options_.timeout + kLate) Violation("late", absl::StrCat(took.count(), " ms"));
}

void Verdict::JudgeRefusal(const Exchange& exchange, const std::vector<Kill>& kills, StormReport& report) {
  const std::string told = absl::StrCat(exchange.status, " ", exchange.text);
  const nlohmann::json body = nlohmann::json::parse(exchange.text, nullptr, /*allow_exceptions=*/false);
  for (const char* field : {"requestId", "component", "reason", "message"}) {
    if (!body.is_object() || !body.contains(field) || !body[field].is_string() || body[field].empty()) {
      return Violation("no clean error", told);
    }
  }
  const std::string reason = body["reason"];
  const std::string message = body["message"];
  ++report.failed[reason];
  if (exchange.status != 502) return Violation("status", told);
  // A kill explains it if it came while the request was under way.
  const auto during = [&](const Kill& kill) {
    return exchange.begin <= kill.after && kill.before <= exchange.end;
  };
  if (reason == "WorkerKilled") {
    const auto worker = worker_of_.find(body["requestId"]);
    const bool explained = std::any_of(kills.begin(), kills.end(), [&](const Kill& kill) {
      return kill.kind == Kill::kWorker && during(kill) &&
             (worker == worker_of_.end() || worker->second == kill.pid);
    });
    if (!explained) Violation("its worker was not killed", told);
    if (worker != worker_of_.end()) ++lost_with_worker_[worker->second];
  } else if (reason == "ReplicaLost") {
    const auto kill = std::find_if(kills.begin(), kills.end(), [&](const Kill& each) {
      return each.kind == Kill::kRuntime && absl::StrContains(message, absl::StrCat(" ", each.replica, " "));
    });
    if (kill == kills.end()) return Violation("its runtime was not killed", told);
    const auto late = duration_cast<milliseconds>(exchange.begin - kill->after);
    if (kill->before > exchange.end || late > kUnnoticed) {
      Violation("its runtime was not killed while it was under way",
                absl::StrCat(late.count(), " ms: ", told));
    }
    ++lost_with_replica_[kill->replica];
  } else {
    Violation("reason", told);
  }
}

void Verdict::JudgeTimes(const std::vector<Exchange>& exchanges, StormReport& report) {
  if (exchanges.empty()) return;
  std::vector<steady_clock::duration> took;
  std::vector<steady_clock::time_point> right;
  steady_clock::time_point begin = exchanges.front().begin;
  for (const Exchange& exchange : exchanges) {
    took.push_back(exchange.end - exchange.begin);
    begin = std::min(begin, exchange.begin);
    if (exchange.end_kind == Exchange::kRight) right.push_back(exchange.end);
  }
  std::sort(took.begin(), took.end());
  report.p50 = duration_cast<milliseconds>(took[took.size() / 2]);
  report.p99 = duration_cast<milliseconds>(took[took.size() * 99 / 100]);
  report.longest = duration_cast<milliseconds>(took.back());
  std::sort(right.begin(), right.end());
  steady_clock::time_point before = begin;
  for (const auto time : right) {
    report.longest_silence = std::max(report.longest_silence, duration_cast<milliseconds>(time - before));
    before = time;
  }
}

}  // namespace mayfly::chaos
