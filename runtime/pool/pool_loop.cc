#include <errno.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "proto/problem.h"
#include "runtime/pool/pool_core.h"
#include "runtime/pool/process_registry.h"
#include "runtime/pool/spawn.h"

namespace mayfly::runtime {
namespace {

constexpr auto kTick = std::chrono::milliseconds(25);
// How long after the last activity the thread goes on ticking.
constexpr auto kStaysAwake = std::chrono::seconds(1);
constexpr auto kLongSleep = std::chrono::seconds(1);
constexpr auto kLeaveTimeout = std::chrono::seconds(1);
constexpr auto kCloseTimeout = std::chrono::seconds(2);
constexpr int kKeyBits = 56;

}  // namespace

bool PoolCore::Watch(int fd, std::uint32_t events, Source source, std::uint64_t key, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = (static_cast<std::uint64_t>(source) << kKeyBits) | key;
  return epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
}

void PoolCore::Run() {
  {
    const std::lock_guard lock(mutex_);
    StartServer(std::chrono::steady_clock::now());
  }
  std::array<epoll_event, 64> events;
  std::vector<Delivery> outbox;
  std::vector<WorkerPtr> running;
  while (true) {
    int timeout;
    {
      const std::lock_guard lock(mutex_);
      if (closing_) break;
      timeout = Prepare(std::chrono::steady_clock::now());
      TakeOutbox(outbox);
    }
    if (!outbox.empty()) {
      Deliver(outbox);
      timeout = 0;
    }
    if (std::exchange(limits_due_, false) && LookAtLimits(std::chrono::steady_clock::now())) timeout = 0;
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
    {
      const std::lock_guard lock(mutex_);
      sleeps_until_ = {};
      const auto now = std::chrono::steady_clock::now();
      for (int i = 0; i < count; ++i) Handle(events[static_cast<std::size_t>(i)].data.u64, now);
      running = running_;
      for (const WorkerPtr& worker : running) {
        if (worker->call != nullptr && worker->call->given && !worker->call->blocked && !worker->spoiled)
          Collect(worker);
      }
      TakeOutbox(outbox);
    }
    Deliver(outbox);
  }
  Shutdown();
}

// What is due, and how many milliseconds the thread may sleep after it. The bells are armed then.
int PoolCore::Prepare(Time now) {
  CheckCalls(now);
  LookAtWaiting(now);
  if (now >= next_tick_) {
    Tick(now);
    next_tick_ = now + kTick;
    limits_due_ = true;
  }
  ServeWanted(now);
  if (!outbox_.empty()) return 0;
  Time until =
      now + (busy_ > 0 || now - last_active_ < kStaysAwake || !groups_.empty() ? Time::duration(kTick)
                                                                               : Time::duration(kLongSleep));
  for (const WorkerPtr& worker : workers_) {
    if (worker->state == WorkerProcess::State::kLeaving) until = std::min(until, worker->leave_deadline);
  }
  for (const WorkerPtr& worker : running_) {
    until = std::min(until, worker->call->deadline);
    for (const std::shared_ptr<Call>& call : worker->waiting) until = std::min(until, call->deadline);
    if (!worker->call->given || worker->call->blocked || worker->spoiled) continue;
    worker->channel->Arm();
    if (worker->channel->ring().HasMore()) return 0;
  }
  if (waiting_ > 0) SetLookTimer(next_look_);
  if (!wanted_.empty()) {
    for (const Time at : {server_restart_at_, fork_again_at_}) {
      if (at > now) until = std::min(until, at);
    }
  }
  sleeps_until_ = until;
  return static_cast<int>(
      std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(until - now).count()));
}

void PoolCore::Handle(std::uint64_t data, Time now) {
  const auto source = static_cast<Source>(data >> kKeyBits);
  const std::uint64_t key = data & ((std::uint64_t{1} << kKeyBits) - 1);
  switch (source) {
    case Source::kPoke:
    case Source::kDoorbell:
    case Source::kLook:
      return;  // edges: the thread is awake, that is all
    case Source::kControl:
    case Source::kServerExit:
    case Source::kServerLog: {
      const ServerPtr server = FindServer(key);
      if (server == nullptr) return;
      if (source == Source::kControl) {
        ReadControl(server, now);
      } else if (source == Source::kServerExit) {
        OnServerExit(server, now);
      } else if (!server->log->ReadSome()) {
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, server->log->fd(), nullptr);
      }
      return;
    }
    case Source::kWorkerExit:
    case Source::kWorkerLog: {
      const WorkerPtr worker = FindWorker(key);
      if (worker == nullptr) return;
      if (source == Source::kWorkerExit) {
        OnWorkerExit(worker);
      } else {
        if (!worker->log->ReadSome()) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, worker->log->fd(), nullptr);
        if (worker->log->TakePrinted()) printed_at_ = now;
      }
      return;
    }
  }
}

// Ends what is past its deadline, was cancelled, or has too large a body.
void PoolCore::CheckCalls(Time now) {
  const auto is_over = [now](const Call& call) {
    return call.cancelled || call.too_large || now >= call.deadline;
  };
  for (std::size_t i = running_.size(); i-- > 0;) {
    if (i >= running_.size()) continue;
    const WorkerPtr worker = running_[i];
    for (std::size_t at = worker->waiting.size(); at-- > 0;) {
      const std::shared_ptr<Call> call = worker->waiting[at];
      // What the worker has taken meanwhile is its call after the next look into the ring.
      if (!is_over(*call) || !worker->channel->Revoke(call->number)) continue;
      worker->waiting.erase(worker->waiting.begin() + static_cast<std::ptrdiff_t>(at));
      --waiting_;
      EndCall(call, WhyOver(*call, false, false), worker);
    }
    const std::shared_ptr<Call> call = worker->call;
    if (!is_over(*call)) continue;
    // Somebody may still be copying into its memory, which must then not be the next invocation's.
    const bool spoilt = call->given || call->filling;
    if (spoilt && !Isolate(worker)) continue;
    const bool taken = call->given && worker->channel->Taken(call->number);
    const bool started = call->given && (worker->state == WorkerProcess::State::kLive || taken);
    v1::Result result = WhyOver(*call, started, taken);
    const std::string reason = result.problem().reason();
    EndCall(call, std::move(result), worker);
    if (spoilt) {
      KillWorker(worker, reason.c_str());
    } else {
      worker->idle_since = now;
      idle_.push_back(worker);
    }
  }
}

// Why a worker that was wanted did not come, as far as that is known.
std::string PoolCore::NotReady() const {
  const std::string what = "no worker was ready before the deadline";
  return server_failures_ == 0 ? what : what + "; of the last fork server: " + problem_.message();
}

// Why a call ends that is over without an answer.
v1::Result PoolCore::WhyOver(const Call& call, bool started, bool taken) const {
  if (call.too_large) {
    return v1::MakeResult(
        v1::OUTCOME_FAILED, "runtime", "RequestTooLarge",
        "the request is larger than the limits: " + std::to_string(options_.max_request_bytes) +
            " bytes of body, " + std::to_string(ipc::kHeadRoom >> 10) + " KiB of headers");
  }
  if (call.cancelled) {
    return v1::MakeResult(v1::OUTCOME_CANCELLED, "runtime", "Cancelled",
                          "nobody waits for the answer any more");
  }
  if (!started) {
    return v1::MakeResult(
        v1::OUTCOME_NOT_STARTED, "runtime", "DeadlineExceeded",
        call.given ? NotReady() : "the request's body was not complete before the deadline");
  }
  return v1::MakeResult(
      v1::OUTCOME_TIMED_OUT, "function", "DeadlineExceeded",
      taken ? "the handler did not answer in time and was stopped; what the request waited before "
              "counts as well"
            : "the worker did not begin the invocation in time: the request waited too long before, "
              "after_fork() hangs, or the worker's process is stopped");
}

void PoolCore::Tick(Time now) {
  std::erase_if(groups_, [now](const std::pair<pid_t, Time>& group) {
    return !ReapGroup(group.first) || now >= group.second;
  });
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const WorkerPtr worker = workers_[i];
    if (worker->pid == 0 && worker->server_key != 0 && now >= worker->start_deadline) {
      // Also for one that nobody wants any more: what it holds is free only when it was born or surely never will be.
      if (const ServerPtr server = FindServer(worker->server_key)) {
        EndServer(server, "ForkTimedOut",
                  "the process that workers are forked from did not give one within " +
                      std::to_string(options_.fork_timeout.count()) +
                      " ms: it is stopped, or what the module gave to pthread_atfork() hangs");
      }
    } else if (worker->state == WorkerProcess::State::kLeaving && now >= worker->leave_deadline) {
      KillWorker(worker, "DestroyTimedOut");
    } else if (worker->state == WorkerProcess::State::kLive && worker->call == nullptr) {
      if (now - worker->idle_since >= kTick) worker->channel->Trim();
      if (now - worker->idle_since < options_.idle_worker_lifetime) continue;
      std::erase(idle_, worker);
      worker->state = WorkerProcess::State::kLeaving;
      --taken_slots_;
      worker->leave_deadline = now + kLeaveTimeout;
      worker->channel->Leave();
    }
  }
  CountWorkers();
}

void PoolCore::TakeOutbox(std::vector<Delivery>& outbox) {
  outbox.swap(outbox_);
  const bool delivered = delivering_;
  delivering_ = !outbox.empty();
  if (delivered && !delivering_) changed_.notify_all();
}

void PoolCore::Deliver(std::vector<Delivery>& outbox) {
  for (Delivery& delivery : outbox) delivery.sink->OnPart(std::move(delivery.part));
  for (Delivery& delivery : outbox) delivery.sink->OnFlush();
  outbox.clear();
}

// The last thing the thread does: results first, then nothing is left of any process.
void PoolCore::Shutdown() {
  symbolizer_.Close();
  std::vector<Delivery> outbox;
  {
    const std::lock_guard lock(mutex_);
    while (!running_.empty()) {
      const WorkerPtr worker = running_.back();
      EndCall(worker->call,
              v1::MakeResult(v1::OUTCOME_CANCELLED, "runtime", "Cancelled", "the replica stops"), worker);
    }
    outbox.swap(outbox_);
  }
  Deliver(outbox);
  const std::lock_guard lock(mutex_);
  std::vector<pid_t> groups;
  for (const WorkerPtr& worker : workers_) {
    if (worker->pid > 0) groups.push_back(worker->pid);
  }
  for (const ServerPtr& server : servers_) {
    if (const pid_t pid = std::exchange(server->pid, 0); pid > 0) groups.push_back(pid);
  }
  for (const pid_t group : groups) {
    KillGroup(group);
    ProcessRegistry::Remove(group);
  }
  for (const auto& [group, deadline] : groups_) {
    KillRest(group);
    groups.push_back(group);
  }
  const Time deadline = std::chrono::steady_clock::now() + kCloseTimeout;
  while (!groups.empty() && std::chrono::steady_clock::now() < deadline) {
    std::erase_if(groups, [](pid_t group) { return !ReapGroup(group); });
    // A worker that was being born when its fork server was killed announces itself, or finds nobody to.
    for (const ServerPtr& server : servers_) ReadControl(server, deadline);
    if (!groups.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (const WorkerPtr& worker : workers_) {
    if (worker->log != nullptr) worker->log->Finish();
  }
  running_.clear();
  idle_.clear();
  wanted_.clear();
  workers_.clear();
  servers_.clear();
}

}  // namespace mayfly::runtime
