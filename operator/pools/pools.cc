#include "operator/pools/pools.h"

#include <utility>

namespace mayfly::op {
namespace {

constexpr std::size_t kCallThreads = 4;
constexpr std::size_t kMaxWaiting = 10'000;
// A replica that was taken is replaced once its function has had the machine for itself to start.
constexpr std::chrono::milliseconds kRefillDelay{100};

}  // namespace

Pools::Pools(PoolCluster& cluster, ReplicaClient& replicas, const base::Clock& clock, base::Metrics& metrics)
    : cluster_(cluster),
      replicas_(replicas),
      queue_(clock),
      calls_("op-pool-call", kCallThreads, kMaxWaiting),
      idle_(cluster, metrics, [this](const std::string& pool) { queue_.AddAfter(pool, kRefillDelay); }),
      reconciler_({.cluster = cluster,
                   .idle = idle_,
                   .replicas = replicas,
                   .queue = queue_,
                   .calls = calls_,
                   .clock = clock,
                   .metrics = metrics}),
      controller_("op-pool", "pool", queue_, metrics, clock,
                  [this](const std::string& pool) { return reconciler_.Reconcile(pool); }) {}

Pools::~Pools() { Stop(); }

absl::Status Pools::Start() {
  absl::Status watching = cluster_.Watch([this](const std::string& pool) { queue_.Add(pool); });
  if (!watching.ok()) return base::WithContext(watching, "watching the pools");
  controller_.Start(1);
  return absl::OkStatus();
}

void Pools::Stop() {
  if (std::exchange(stopped_, true)) return;
  cluster_.Unwatch();
  controller_.Stop();
  replicas_.Cancel();
  calls_.Stop();
}

}  // namespace mayfly::op
