// The PoolReconciler makes the idle replicas of a RuntimePool as many as its manifest asks for, and keeps them ready.
//
// Reconcile(key) reads the pool and its replicas, and takes the next step. It never waits for a replica: its calls run on
// an executor, whose end adds the key again.
//
//   One that runs    is asked what it is (Describe). That opens the connection by which it will get its module, and tells
//                    whether it is nobody's: only then it is offered. It is asked again every 30 s.
//   One that is      bound to a function was taken by an operator that ended before it had written so: it becomes the
//   bound            function's, or goes if there is none.
//   One that failed  or does not answer is replaced; those that fail before they were ready are replaced with backoff
//                    (0.2 s, doubling to 60 s, with jitter).
//   An outdated one  (the pool's manifest, or the operator's default image, changed) goes and is replaced.
//   A pool that is   gone offers nothing; its idle replicas go with it, being its own. Those that functions took stay.
//
// Reconcile() may be called from any thread, for different keys at once.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "operator/control/replica_client.h"
#include "operator/controller/controller.h"
#include "operator/controller/executor.h"
#include "operator/controller/work_queue.h"
#include "operator/pools/idle_replicas.h"
#include "operator/pools/pool_cluster.h"
#include "operator/pools/pool_plan.h"

namespace mayfly::op {

// What a reconcile works with. All of it must outlive the reconciler.
struct PoolReconcilerParts {
  PoolCluster& cluster;
  IdleReplicas& idle;
  ReplicaClient& replicas;
  WorkQueue& queue;
  Executor& calls;
  const base::Clock& clock;
  base::Metrics& metrics;
};

// What a call that has ended found out.
struct IdleDescribed {
  std::string replica;
  absl::StatusOr<v1::DescribeReply> reply;
};
struct IdleAdopted {
  std::string replica;
  absl::Status status;
};

struct IdleState {
  Replica seen{};
  bool listed = false;
  bool ever_listed = false;
  bool called = false;  // a call is in flight
  bool free = false;    // it said that it is nobody's
  bool ever_free = false;
  int unanswered = 0;  // calls in a row
  base::MonotonicTime added{};
  base::MonotonicTime due{};                        // no Describe sooner
  std::optional<base::MonotonicTime> deleted_at{};  // deleted; the cluster may still list it for a while
};

// What the operator remembers of one pool; it belongs to whoever reconciles its key, but for what calls bring back.
struct PoolState {
  struct Inbox {
    std::mutex mutex;
    std::vector<IdleDescribed> described;  // guarded by mutex
    std::vector<IdleAdopted> adopted;      // guarded by mutex
  };
  const std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();

  std::map<std::string, IdleState> replicas;
  RecentDemand demand;
  std::int64_t taken = 0;
  bool remembered = false;  // what an earlier operator wrote was read
  int start_failures = 0;   // in a row, of replicas that never were ready
  base::MonotonicTime create_not_before{};
  // Why it is not filled, as far as that is more than a wait; "" if nothing is wrong.
  std::string trouble_reason;
  std::string trouble_message;
  std::optional<base::MonotonicTime> full_at;  // when enough were ready last
  std::optional<RuntimePoolStatus> written;
  base::MonotonicTime written_at{};
  prometheus::Gauge* gauges[3] = {};  // idle, ready, desired
};

class PoolReconciler {
 public:
  explicit PoolReconciler(PoolReconcilerParts parts) : parts_(parts) {}

  Result Reconcile(const std::string& pool);

 private:
  const PoolReconcilerParts parts_;

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<PoolState>> states_;  // guarded by mutex_
};

}  // namespace mayfly::op
