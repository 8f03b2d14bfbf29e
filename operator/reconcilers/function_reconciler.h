// The FunctionReconciler makes what runs match what a Function's manifest and its demand ask for.
//
// Reconcile(key) reads the function, its replicas and the scaler's decision, and takes the next step towards: enough
// replicas, each with the wanted revision, in the gateways' routes exactly while they can serve. It never waits for a
// replica: Load, Drain and Describe run on executors, whose end adds the key again.
//
//   A missing replica  comes out of the pool if one waits there that fits, else it is made. One that was taken gets its
//                      module at once, and is claimed once that is known to be there; if the module is refused before any
//                      of its code ran, the replica goes back.
//   A new revision     is loaded into the running replicas, first into one of them; each serves its old revision until
//                      its Load succeeds. If the module is refused, the old revision goes on serving
//                      everywhere, and it is tried again after a while (10 s, doubling to 5 min) or when it changes.
//   A replica to go    leaves the route; when every gateway has confirmed (or 3 s passed) it is drained, then
//                      deleted. It comes back into service if it is needed before the drain.
//   A dead replica     leaves the route at once and is replaced; those that die before they ever serve are
//                      replaced with backoff (0.2 s, doubling to 60 s, with jitter), so that nothing storms.
//   Nothing can serve  the route carries the problem, and gateways refuse requests with it instead of holding them.
//
// Reconcile() may be called from any thread, for different keys at once. OnReport() may too; it does not block.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "operator/autoscaler/scaler.h"
#include "operator/control/replica_client.h"
#include "operator/controller/cluster.h"
#include "operator/controller/controller.h"
#include "operator/controller/executor.h"
#include "operator/controller/replica_pool.h"
#include "operator/controller/work_queue.h"
#include "operator/metering/meter.h"
#include "operator/reconcilers/function_state.h"
#include "operator/reconcilers/route_table.h"
#include "operator/reconcilers/trigger_health.h"

namespace mayfly::op {

struct ReconcilerOptions {
  // Before the path of a function's first route, in status.url: "http://127.0.0.1:8080".
  std::string base_url;
  std::uint64_t epoch = 1;
  std::uint32_t hold_limit = 1000;
  std::chrono::milliseconds create_timeout{10'000};  // of a module's create()
  std::chrono::milliseconds describe_timeout{3'000};
  std::chrono::milliseconds confirm_timeout{
      3'000};  // for gateways to confirm that a replica is out of the route
  std::chrono::milliseconds drain_margin{5'000};  // beyond the function's timeout
};

// What a reconcile works with. All of it must outlive the reconciler.
struct ReconcilerParts {
  Cluster& cluster;
  ReplicaClient& replicas;
  RouteTable& routes;
  Scaler& scaler;
  TriggerHealth& triggers;
  Meter& meter;
  WorkQueue& queue;
  Executor& loads;
  Executor& drains;
  Executor& probes;
  const base::Clock& clock;
  base::Metrics& metrics;
  ReplicaPool* pool = nullptr;  // null: every replica is made
};

class FunctionReconciler {
 public:
  FunctionReconciler(ReconcilerParts parts, ReconcilerOptions options);

  Result Reconcile(const std::string& function);

  // Takes in which replicas a gateway cannot reach.
  void OnReport(const v1::GatewayReport& report);

  // Whether the last Reconcile() understood all that runs of the function, so that its route is complete. True of one
  // that is gone.
  bool Settled(const std::string& function) const;

  // Nothing if there is no such function.
  std::optional<FunctionView> View(const std::string& function) const;
  // In the order of their keys.
  std::vector<FunctionView> Views() const;

 private:
  FunctionView ViewOf(const FunctionState& state) const;

  const ReconcilerParts parts_;
  const ReconcilerOptions options_;

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<FunctionState>> states_;  // guarded by mutex_
  std::unordered_map<std::string, std::string> owners_;           // guarded by mutex_; function by replica
};

}  // namespace mayfly::op
