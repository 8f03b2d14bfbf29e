// A LeaderElector makes one of several processes the leader, through a Lease of the API server.
//
// The rules are those of Kubernetes' own controllers. A candidate tries every `retry_period`. The leader renews
// as often; once it has not managed to for `renew_deadline`, counted on its own monotonic clock from *before* it
// sent the last renewal that succeeded, it is leader no more, while the others wait `lease_duration`: so with
// lease_duration > renew_deadline there are never two, whatever the clocks say and whether the server answers.
//
// That holds as long as this process runs. One that is paused wakes up believing that it leads, so a command to
// others carries epoch(), which each new leader raises, and receivers refuse an older one; and epoch() reads
// the clock, so that nothing is begun after the pause.
//
// Losing the lease is final: `stopped` is called, and the elector is done. The process is meant to exit and start
// as a candidate, since what it knew as a leader may be wrong by now.
//
// Thread-safe. Callbacks come on the elector's thread; `stopped` returns when this process has ceased to act as
// the leader, and only then is the lease released.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>

#include "operator/kube/client.h"
#include "operator/kube/lease.h"

namespace mayfly::kube {

struct LeaderElectorOptions {
  std::string space;
  std::string name;
  std::string identity;  // of this process alone: POD_NAME_random
  std::chrono::milliseconds lease_duration{15'000};
  std::chrono::milliseconds renew_deadline{10'000};
  std::chrono::milliseconds retry_period{2'000};
};

struct LeaderCallbacks {
  // This process leads, with `epoch` > 0. Must not block: renewing waits for it.
  std::function<void(std::int64_t epoch)> started;
  // It does not lead any more; `why` is a sentence. Only after `started`.
  std::function<void(const std::string& why)> stopped;
  // Another holds the lease, or none ("").
  std::function<void(const std::string& holder)> observed;
};

class LeaderElector {
 public:
  // `client` must outlive it. REQUIRES: CheckOptions() is OK; each callback may be empty.
  LeaderElector(Client& client, LeaderElectorOptions options, LeaderCallbacks callbacks);
  // Stops.
  ~LeaderElector();

  static absl::Status CheckOptions(const LeaderElectorOptions& options);

  void Start();
  // A leader steps down (`stopped`) and releases the lease, so that another need not wait. Idempotent.
  void Stop();

  // The epoch of this process if it leads at this moment, by its own clock.
  std::optional<std::int64_t> epoch() const;

 private:
  void Run(std::stop_token stop);
  bool Acquire(std::stop_token stop);
  std::string Lead(std::stop_token stop);
  void Release();

  // One attempt each; the deadline counts for the whole of it.
  absl::StatusOr<bool> TryTake(base::MonotonicTime deadline, std::stop_token stop);
  absl::Status Renew(base::MonotonicTime deadline, std::stop_token stop);
  absl::Status Write(const LeaseRecord& record, base::MonotonicTime deadline, std::stop_token stop);
  absl::Status Read(base::MonotonicTime deadline, std::stop_token stop);
  void Observe(const LeaseRecord& record);
  CallOptions Call(base::MonotonicTime deadline, std::stop_token stop) const;
  LeaseRecord OwnRecord() const;
  // Waits for `delay` and up to a fifth more, so that candidates do not come in step.
  void WaitWithJitter(std::chrono::milliseconds delay, std::stop_token stop);
  void WaitUntil(base::MonotonicTime until, std::stop_token stop);
  base::MonotonicTime Now() const { return client_.clock().Now(); }

  Client& client_;
  const LeaderElectorOptions options_;
  const LeaderCallbacks callbacks_;
  prometheus::Gauge& leading_;
  prometheus::Counter& failures_;

  // Of the elector's thread.
  ObservedLease observed_;
  std::string told_holder_;
  bool told_ = false;
  std::string acquired_;
  std::int64_t held_transitions_ = 0;
  std::minstd_rand random_{std::random_device{}()};

  std::mutex wait_mutex_;
  std::condition_variable_any never_;

  mutable std::mutex mutex_;
  std::int64_t epoch_ = 0;           // guarded by mutex_; 0: not leading
  base::MonotonicTime leads_until_;  // guarded by mutex_
  std::jthread thread_;              // last: it uses all of the above
};

}  // namespace mayfly::kube
