// What workers use of the machine, and the end of those that use too much.
//
// The kernel bounds the number of processes (see worker/sandbox_tasks.h), for a fork bomb leaves this thread no time to; this
// names the one that went too far. All else is bounded here.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "proto/problem.h"
#include "runtime/pool/folder_use.h"
#include "runtime/pool/pool_core.h"
#include "runtime/pool/task_count.h"
#include "runtime/pool/tree_memory.h"

namespace mayfly::runtime {
namespace {

constexpr auto kBusyLook = std::chrono::milliseconds(25);
constexpr auto kIdleLook = std::chrono::milliseconds(250);
constexpr auto kCloseLook = std::chrono::milliseconds(100);
constexpr auto kFolderLook = std::chrono::seconds(1);
// Processes and threads that are looked at in one go; the other workers' turn comes with the next tick.
constexpr std::size_t kTasksAtOnce = 512;
constexpr std::size_t kMostFiles = 10'000;

std::string MiB(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

// Reading takes as long as a worker has processes and threads, so it is done without the mutex: only this thread reaps
// workers, and until then their numbers are theirs.
bool PoolCore::LookAtLimits(Time now) {
  std::vector<WorkerPtr> due;
  {
    const std::lock_guard lock(mutex_);
    for (const WorkerPtr& worker : workers_) {
      if (worker->state == WorkerProcess::State::kLive && now >= worker->look_at) due.push_back(worker);
    }
  }
  std::sort(due.begin(), due.end(),
            [](const WorkerPtr& a, const WorkerPtr& b) { return a->look_at < b->look_at; });
  bool stopped = false;
  std::size_t seen = 0;
  for (const WorkerPtr& worker : due) {
    std::vector<pid_t> processes;
    const std::size_t tasks = CountTasks(worker->pid, options_.worker_tasks + 1, &processes);
    const bool closely = now >= worker->look_closely_at;
    const TreeMemory memory = ReadTreeMemory(processes, options_.worker_memory_bytes, closely);
    if (closely && processes.size() > 1) worker->look_closely_at = now + kCloseLook;
    const bool too_much = memory.exact && memory.bytes > options_.worker_memory_bytes;
    {
      const std::lock_guard lock(mutex_);
      const bool busy = worker->call != nullptr;
      worker->look_at = now + (busy ? kBusyLook : kIdleLook);
      if (tasks > options_.worker_tasks) {
        StopFor(worker, v1::OUTCOME_CRASHED, "TooManyProcesses",
                "the handler started too many processes and threads; its worker may have " +
                    std::to_string(options_.worker_tasks));
        stopped = true;
      } else if (too_much) {
        StopFor(worker, v1::OUTCOME_OUT_OF_MEMORY, "OutOfMemory",
                "the handler used " + MiB(memory.bytes) + " of memory" +
                    (processes.size() > 1 ? ", with the processes that it started" : "") +
                    "; its worker may use " + MiB(options_.worker_memory_bytes));
        stopped = true;
      }
    }
    if ((seen += tasks) >= kTasksAtOnce) break;
  }
  return LookAtFolder(now, !due.empty()) || stopped;
}

// Nobody knows who filled the folder that they share, so all workers go, and then what is in it.
bool PoolCore::LookAtFolder(Time now, bool any_workers) {
  if (!any_workers || now < folder_look_at_) return false;
  folder_look_at_ = now + kFolderLook;
  if (!FolderExceeds(temporary_folder_, options_.temporary_bytes, kMostFiles)) return false;
  {
    const std::lock_guard lock(mutex_);
    base::log::Warn("the temporary folder is full; it is emptied, and workers start anew",
                    {{"function", options_.function}, {"limit_bytes", options_.temporary_bytes}});
    const std::vector<WorkerPtr> workers = workers_;
    for (const WorkerPtr& worker : workers) {
      if (worker->state != WorkerProcess::State::kLive) continue;
      StopFor(worker, v1::OUTCOME_CRASHED, "TemporaryFolderFull",
              "the function's workers left more than " + MiB(options_.temporary_bytes) + " or " +
                  std::to_string(kMostFiles) + " files in their temporary folder ($TMPDIR)");
    }
  }
  EmptyFolder(temporary_folder_, now + kFolderLook);
  return true;
}

// Ends a worker, and what it runs with the result. What it was given and has not begun goes to another.
void PoolCore::StopFor(const WorkerPtr& worker, v1::Outcome outcome, const char* reason,
                       std::string message) {
  if (worker->state != WorkerProcess::State::kLive) return;
  while (worker->call != nullptr && !Isolate(worker)) {
    if (worker->state != WorkerProcess::State::kLive) return;
  }
  const std::shared_ptr<Call> call = worker->call;
  if (call != nullptr && call->given && worker->channel->Taken(call->number)) {
    EndCall(call, v1::MakeResult(outcome, "function", reason, std::move(message)), worker);
  } else {
    base::log::Warn(
        "an idle worker is stopped",
        {{"function", options_.function}, {"pid", worker->pid}, {"reason", reason}, {"problem", message}});
  }
  KillWorker(worker, reason);
}

}  // namespace mayfly::runtime
