// A Replica is what a runtime is to its cluster, apart from gRPC: the revision it serves, whether it drains,
// and whose commands it follows.
//
// Load replaces the revision: the new pool is made beside the old one, new invocations go to it from one
// moment on, and the old one finishes what it has. A module that is refused changes nothing. Commands carry
// the epoch of their operator's lease, and one that is older than any seen is refused: leader election alone
// does not stop an old leader. A replica that drains never takes invocations again.
//
// Thread-safe. Load() and Drain() block; everything else does not.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "absl/synchronization/mutex.h"
#include "base/metrics.h"
#include "base/status.h"
#include "mayfly/v1/runtime.pb.h"
#include "runtime/artifacts/module_fetcher.h"
#include "runtime/loader/module_store.h"
#include "runtime/pool/worker_pool.h"
#include "runtime/server/task_threads.h"

namespace mayfly::runtime {

// Hears of every change of a replica's capacity, on any thread. Must not call the replica, nor block.
class CapacityListener {
 public:
  virtual ~CapacityListener() = default;
  virtual void OnCapacity(const v1::Capacity& capacity) = 0;
  // The replica ends: nothing need stay open that has nothing more to say.
  virtual void OnClose() {}
};

class Replica {
 public:
  using PoolFactory = std::function<std::unique_ptr<WorkerPool>(PoolOptions options, base::Metrics& metrics,
                                                                v1::Problem& problem)>;

  struct Options {
    std::string version;
    std::string worker_program;
    std::string symbolizer_program = {};  // "": backtraces have offsets only
    std::string temporary_parent = {};    // of the workers' TMPDIR; see PoolOptions
    ModuleFetcher* fetcher = nullptr;     // must outlive the replica; null: modules at URLs are refused
    SpareWorker* spare = nullptr;  // for the first module; must outlive the replica; null: there is none
  };

  // `store` and `metrics` must outlive the replica.
  Replica(Options options, PoolFactory make_pool, ModuleStore& store, base::Metrics& metrics);
  // Stops what runs.
  ~Replica();

  // See Runtime.Load. Loads run one after another. kFailedPrecondition: an old epoch, or the replica drains;
  // kResourceExhausted: too many old revisions still finish; kAlreadyExists: bound to another function.
  absl::Status Load(const v1::LoadRequest& request, v1::LoadReply& reply);

  // Begins an invocation in the current revision. Without one, or if the replica drains, the sink gets
  // OUTCOME_NOT_STARTED at once, and null is returned.
  std::shared_ptr<PoolCall> Start(const v1::Start& start, std::string_view body, bool body_complete,
                                  std::shared_ptr<ResponseSink> sink);

  // Refuses an epoch that is older than one seen, and remembers it otherwise.
  absl::Status Admit(std::uint64_t epoch);

  // Takes no more invocations, and waits for those that run, of old revisions too; how many still run at
  // `deadline`.
  std::uint32_t Drain(std::chrono::steady_clock::time_point deadline);

  // Tells every listener, and those to come, that the replica ends.
  void Close();

  v1::DescribeReply Describe() const;
  v1::Capacity capacity() const;
  // Why no invocation can be taken; "" if one can.
  std::string NotReadyReason() const;
  // The function's timeout.
  std::chrono::milliseconds timeout() const;

  // `listener` hears of changes from now on, and of the present state within the call.
  void Subscribe(CapacityListener* listener);
  void Unsubscribe(CapacityListener* listener);

 private:
  struct Revision {
    std::shared_ptr<const StoredModule> module;
    std::unique_ptr<WorkerPool> pool;
    std::string function;
    std::chrono::milliseconds timeout{60'000};
    v1::LoadReply reply;  // for a Load that asks for what is there
  };

  // The module of `request`; null and the reply's problem if there is none to be had.
  std::shared_ptr<const StoredModule> GetModule(const v1::LoadRequest& request, v1::LoadReply& reply,
                                                AdmitTimes& times);
  std::shared_ptr<Revision> Make(const v1::LoadRequest& request, v1::LoadReply& reply);
  // Code of `function` runs from now on.
  void Bind(const std::string& function);
  void Retire(std::shared_ptr<Revision> old);
  v1::Capacity CapacityLocked() const ABSL_SHARED_LOCKS_REQUIRED(current_mutex_);
  void Announce();

  const Options options_;
  const PoolFactory make_pool_;
  ModuleStore& store_;
  base::Metrics& metrics_;
  std::atomic<std::uint64_t> epoch_{0};

  std::mutex load_mutex_;  // one load at a time

  // Held shared while an invocation is begun, so that none begins in a pool that already drains. absl's,
  // because a stream of readers cannot starve a writer on it.
  mutable absl::Mutex current_mutex_;
  std::shared_ptr<Revision> current_ ABSL_GUARDED_BY(current_mutex_);
  bool draining_ ABSL_GUARDED_BY(current_mutex_) = false;
  std::string bound_
      ABSL_GUARDED_BY(current_mutex_);  // the function whose code may have run here; "": none yet

  mutable std::mutex listeners_mutex_;
  std::set<CapacityListener*> listeners_;  // guarded by listeners_mutex_
  bool closed_ = false;                    // guarded by listeners_mutex_

  std::mutex retired_mutex_;
  std::condition_variable retired_changed_;
  std::set<const Revision*> retired_;  // those that still finish; guarded by retired_mutex_
  std::atomic<bool> stopping_{false};
  TaskThreads retiring_;  // last: its tasks use all of the above
};

// A result for an invocation that surely did not start.
v1::ResponsePart NotStarted(std::string_view reason, std::string_view message);

}  // namespace mayfly::runtime
