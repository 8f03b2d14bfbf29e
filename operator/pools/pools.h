// Pools keeps every RuntimePool of a cluster filled, and gives functions what waits there.
//
// This is the list of its parts, and the order in which they start and stop: beside an Operator, which takes from pool().
//
// Start() and Stop() belong to the owner's thread.
#pragma once

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "operator/control/replica_client.h"
#include "operator/controller/controller.h"
#include "operator/controller/executor.h"
#include "operator/controller/work_queue.h"
#include "operator/pools/idle_replicas.h"
#include "operator/pools/pool_cluster.h"
#include "operator/pools/pool_reconciler.h"

namespace mayfly::op {

class Pools {
 public:
  // All that is referred to must outlive it.
  Pools(PoolCluster& cluster, ReplicaClient& replicas, const base::Clock& clock, base::Metrics& metrics);
  // Stops.
  ~Pools();

  // Watches the pools, and fills them from then on. Idle replicas that run already are adopted.
  absl::Status Start();
  // Returns once nothing runs any more. Replicas are left as they are. Final and idempotent.
  void Stop();

  ReplicaPool& pool() { return idle_; }

 private:
  PoolCluster& cluster_;
  ReplicaClient& replicas_;
  WorkQueue queue_;
  Executor calls_;
  IdleReplicas idle_;
  PoolReconciler reconciler_;
  Controller controller_;
  bool stopped_ = false;
};

}  // namespace mayfly::op
