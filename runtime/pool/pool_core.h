// What a WorkerPool is made of: the slots, the workers, the fork server and the thread that looks after them.
//
// One mutex guards it all. Callers take it to begin an invocation and to say that its body is complete; what
// workers write is read by the pool's thread only, which sleeps in epoll on doorbells, pidfds, control sockets
// and logs. Parts are collected under the mutex and delivered without it, so a sink may call back.
//
// Deadlines: the thread sleeps at most until the nearest one. While anything runs, and for a second after, it
// wakes every kTick to look at the workers' memory; later it sleeps long, and a caller that begins something
// pokes it.
//
// Short calls under load: with as many workers busy as there are cores, to wake another helps nobody, and costs more than
// a short handler runs. If the function's calls are short, a further one is then given to a busy worker, to wait there. As
// long as calls wait anywhere the thread looks every kLook: what waits behind a call that has run for a whole look is
// taken back and goes to a worker of its own, so that handlers that block get all slots.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/pool/call.h"
#include "runtime/pool/death.h"
#include "runtime/pool/pool_metrics.h"
#include "runtime/pool/symbolizer.h"
#include "runtime/pool/worker_pool.h"
#include "runtime/pool/worker_process.h"

namespace mayfly::runtime {

class PoolCore : public std::enable_shared_from_this<PoolCore> {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // How often what waits behind other calls is looked at.
  static constexpr std::chrono::microseconds kLookEvery{250};

  PoolCore(PoolOptions options, base::Metrics& metrics);
  ~PoolCore();

  // Starts the thread and the first fork server; false with `problem` if create() did not succeed in time.
  bool Open(v1::Problem& problem);
  // Ends every invocation, kills every process, joins the thread.
  void Close();

  std::shared_ptr<PoolCall> Start(const v1::Start& start, std::string_view body, bool body_complete,
                                  std::shared_ptr<ResponseSink> sink);
  void Write(Call& call, std::string_view data, bool end);
  void Grant(Call& call, std::uint64_t bytes);
  void Cancel(Call& call);

  std::uint32_t Drain(Time deadline);
  PoolState State() const;
  const PoolOptions& options() const { return options_; }
  const std::string& handler() const { return handler_; }
  LoadTimes load_times() const { return load_times_; }

 private:
  enum class Source : std::uint64_t {
    kPoke,
    kLook,
    kControl,
    kServerExit,
    kServerLog,
    kDoorbell,
    kWorkerExit,
    kWorkerLog
  };
  using WorkerPtr = std::shared_ptr<WorkerProcess>;
  using ServerPtr = std::shared_ptr<ServerProcess>;
  struct Delivery {
    std::shared_ptr<ResponseSink> sink;
    v1::ResponsePart part;
  };
  // What is left of an invocation once its slot is free: the last part, and what a log line says.
  struct Ending {
    Delivery delivery;
    std::string id;
    pid_t pid = 0;
  };

  // What one invocation used.
  struct Usage {
    std::chrono::microseconds wall{0};
    std::chrono::microseconds cpu{0};
  };
  // A call whose end was read, and what its worker says of how long it ran.
  struct Ended {
    std::shared_ptr<Call> call;
    Usage usage;
    std::chrono::nanoseconds ran{0};
  };

  // pool_core.cc: invocations.
  void Poke();
  // An idle worker, or a new one.
  WorkerPtr TakeWorker(std::string& why_not);
  bool StartSmall(const std::shared_ptr<Call>& call, const v1::Start& start, std::string_view body,
                  const WorkerPtr& worker);
  void Give(const std::shared_ptr<Call>& call, Time now);
  void WakeFor(const Call& call);
  // Ends a call that did not answer. `used` is all CPU time of a process that was reaped; 0 to ask a living one. `notes`
  // are those of a crash.
  void EndCall(std::shared_ptr<Call> call, v1::Result&& result, const WorkerPtr& worker,
               std::chrono::microseconds used = {}, const CrashNotes& notes = {});
  // `usage` is null if it was not begun.
  void Conclude(std::shared_ptr<Call> call, v1::Result&& result, const WorkerPtr& worker, const Usage* usage,
                const CrashNotes& notes = {});
  void Tell(Ending&& ending);
  void TellWithBacktrace(Ending&& ending, const CrashNotes& notes, Time deadline);
  void Refuse(Call& call, v1::Outcome outcome, const char* component, const char* reason,
              std::string message);
  void LogFailure(const Ending& ending) const;

  // pool_calls.cc: what workers run, and what waits behind it.
  WorkerPtr PickBusy(Time now) const;
  void Assign(const WorkerPtr& worker, const std::shared_ptr<Call>& call);
  void Advance(const WorkerPtr& worker);
  void Rest(const WorkerPtr& worker);
  void Collect(const WorkerPtr& worker);
  void MakeUpForThreads(const std::string& invocation, pid_t pid);
  void Settle(const WorkerPtr& worker, std::vector<Ended>& ended, Time now);
  void NotePeak(const WorkerPtr& worker, std::chrono::microseconds cpu, Time now);
  void NoteDuration(std::chrono::nanoseconds ran);
  void TakeBack(const WorkerPtr& worker);
  bool Isolate(const WorkerPtr& worker);
  void Abandon(const WorkerPtr& worker, const char* reason);
  void Judge(const std::shared_ptr<Call>& call, const WorkerPtr& worker, const v1::Problem& why);
  void PlaceAgain(const std::shared_ptr<Call>& call, const WorkerPtr& from);
  void LookAtWaiting(Time now);
  void SetLookTimer(Time at);

  // pool_loop.cc: the thread.
  void Run();
  int Prepare(Time now);
  void Handle(std::uint64_t data, Time now);
  void Tick(Time now);
  void CheckCalls(Time now);
  std::string NotReady() const;
  v1::Result WhyOver(const Call& call, bool started, bool taken) const;
  void TakeOutbox(std::vector<Delivery>& outbox);
  void Deliver(std::vector<Delivery>& outbox);
  void Shutdown();
  // `operation` EPOLL_CTL_ADD (1) begins to watch, EPOLL_CTL_MOD (3) changes what is watched already.
  bool Watch(int fd, std::uint32_t events, Source source, std::uint64_t key, int operation = 1);

  // pool_limits.cc: what workers use. Pool thread, without the mutex; whether any worker was stopped.
  bool LookAtLimits(Time now);
  bool LookAtFolder(Time now, bool any_workers);
  void StopFor(const WorkerPtr& worker, v1::Outcome outcome, const char* reason, std::string message);

  // pool_processes.cc: fork servers and workers.
  void StartServer(Time now);
  void ReadControl(const ServerPtr& server, Time now);
  void OnReady(const ServerPtr& server, const std::string& handler, bool forks, LoadTimes times);
  void OnServerExit(const ServerPtr& server, Time now);
  void EndServer(const ServerPtr& server, const char* reason, std::string message);
  bool AnyServerReady() const;
  void RefuseWanted();
  void ForgetServer(const ServerPtr& server);
  void ServeWanted(Time now);
  bool SpawnFrom(const ServerPtr& server, const WorkerPtr& worker);
  absl::StatusOr<WorkerPtr> NewWorker(std::shared_ptr<Channel> channel);
  void OnBorn(std::uint64_t token, pid_t pid);
  void OnForkFailed(std::uint64_t token, int error);
  void OnWorkerExit(const WorkerPtr& worker);
  void KillWorker(const WorkerPtr& worker, const char* reason);
  void FreeSlot(const WorkerPtr& worker);
  void RemoveWorker(const WorkerPtr& worker);
  void Replace(const std::shared_ptr<Call>& call, const WorkerPtr& worker, const Death& why, bool own_fault);
  WorkerPtr FindWorker(std::uint64_t key) const;
  ServerPtr FindServer(std::uint64_t key) const;
  void CountWorkers();

  const PoolOptions options_;
  PoolMetrics metrics_;
  std::string temporary_folder_;
  base::FileDescriptor epoll_;
  base::FileDescriptor poke_;
  base::FileDescriptor look_timer_;  // epoll itself counts in milliseconds

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // loaded_, problem_, busy_, symbolizing_ or delivering_
  bool loaded_ = false;
  bool failed_ = false;
  v1::Problem problem_;
  std::string handler_;
  LoadTimes load_times_;
  bool forks_ = true;
  bool closing_ = false;
  bool draining_ = false;
  bool cold_ = true;
  bool told_of_threads_ = false;
  std::uint64_t next_key_ = 1;
  std::uint32_t busy_ = 0;
  std::optional<std::chrono::nanoseconds> typical_;  // how long handlers ran of late
  std::uint32_t waiting_ = 0;                        // calls that wait behind others
  std::uint64_t waited_ = 0;
  std::uint64_t taken_back_ = 0;
  Time next_look_{};
  Time look_timer_at_{};
  Time alone_until_{};  // no call waits behind another before
  Time printed_at_{};   // when a worker last printed something that is not known to be a certain invocation's
  std::uint32_t taken_slots_ = 0;  // workers that count: neither leaving nor killed
  std::vector<WorkerPtr> workers_;
  std::vector<WorkerPtr> running_;  // those with a call
  std::vector<WorkerPtr> idle_;     // the one used last at the back
  std::deque<WorkerPtr> wanted_;
  std::vector<ServerPtr> servers_;
  std::vector<std::pair<pid_t, Time>> groups_;  // of dead leaders, until nothing of them is left
  std::uint32_t server_failures_ = 0;
  Time server_restart_at_{};
  std::uint32_t fork_failures_ = 0;  // in a row
  Time fork_again_at_{};
  Time sleeps_until_{};  // zero while the thread is awake
  Time last_active_{};
  Time next_tick_{};
  bool limits_due_ = false;  // pool thread only, as is the next
  Time folder_look_at_{};
  std::uint32_t symbolizing_ = 0;  // crashes whose results wait for their backtraces
  std::vector<Delivery> outbox_;
  bool delivering_ = false;  // what was taken from outbox_ is on its way to its sinks
  Symbolizer symbolizer_;
  std::jthread thread_;
};

}  // namespace mayfly::runtime
