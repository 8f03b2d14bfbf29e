#include "tests/chaos/executioner.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "tests/chaos/process_tree.h"

namespace mayfly::chaos {
namespace {

using std::chrono::steady_clock;

// "echo-7" for a runtime whose command has "--listen unix:RUN_DIR/r/7/s".
std::string ReplicaOf(const std::string& command) {
  const std::size_t end = command.find("/s ", command.find("--listen "));
  if (end == std::string::npos) return "";
  const std::size_t begin = command.rfind('/', end - 1);
  return absl::StrCat("echo-", command.substr(begin + 1, end - begin - 1));
}

}  // namespace

Executioner::Executioner(const StormOptions& options, pid_t mayfly)
    : options_(options),
      mayfly_(mayfly),
      random_(options.seed),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

std::vector<Kill> Executioner::Stop() {
  thread_.request_stop();
  thread_.join();
  return std::move(kills_);
}

void Executioner::Run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  auto next_worker = steady_clock::now() + options_.kill_worker_every;
  auto next_runtime = steady_clock::now() + options_.kill_runtime_every;
  for (;;) {
    stopped.wait_until(lock, stop, std::min(next_worker, next_runtime), [] { return false; });
    if (stop.stop_requested()) return;
    const auto now = steady_clock::now();
    if (now >= next_worker) {
      KillOne(Kill::kWorker);
      next_worker += options_.kill_worker_every;
    }
    if (now >= next_runtime) {
      KillOne(Kill::kRuntime);
      next_runtime += options_.kill_runtime_every;
    }
  }
}

void Executioner::KillOne(Kill::Kind kind) {
  const std::string name = kind == Kill::kWorker ? "mayfly-worker " : "mayfly-runtime ";
  std::vector<Process> candidates;
  for (Process& process : Descendants(mayfly_)) {
    const std::size_t slash = process.command.substr(0, process.command.find(' ')).rfind('/');
    const std::size_t program = kind == Kill::kWorker || slash == std::string::npos ? 0 : slash + 1;
    if (process.command.substr(program).starts_with(name)) candidates.push_back(std::move(process));
  }
  if (candidates.empty()) return;
  const Process& victim = candidates[random_() % candidates.size()];
  Kill kill{.kind = kind, .pid = victim.pid, .replica = "", .before = steady_clock::now(), .after = {}};
  if (kind == Kill::kRuntime) kill.replica = ReplicaOf(victim.command);
  if (!KillIfSame(victim)) return;
  kill.after = steady_clock::now();
  kills_.push_back(std::move(kill));
}

}  // namespace mayfly::chaos
