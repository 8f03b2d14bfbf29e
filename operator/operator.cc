#include "operator/operator.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/thread.h"
#include "operator/api/triggers.h"

namespace mayfly::op {
namespace {

constexpr std::size_t kLoadThreads = 16;
constexpr std::size_t kDrainThreads = 32;
constexpr std::size_t kProbeThreads = 4;
constexpr std::size_t kMaxWaiting = 10'000;

LeaseOptions WithEpoch(LeaseOptions leases, std::uint64_t epoch) {
  leases.epoch = epoch;
  return leases;
}

}  // namespace

Operator::Operator(Cluster& cluster, GatewayLink& gateways, ReplicaClient& replicas, const base::Clock& clock,
                   base::Metrics& metrics, OperatorOptions options, ReplicaPool* pool)
    : cluster_(cluster),
      gateways_(gateways),
      replicas_(replicas),
      clock_(clock),
      options_(std::move(options)),
      pool_(pool),
      inlet_(std::make_shared<Inlet>()),
      queue_(clock),
      scaler_(clock, metrics, options_.scaling),
      meter_(clock),
      leases_(WithEpoch(options_.leases, options_.reconciler.epoch), clock, metrics),
      routes_(
          gateways, options_.reconciler.epoch, [this](const std::string& function) { queue_.Add(function); },
          &leases_),
      lease_publisher_(leases_, routes_, gateways, options_.leads),
      loads_("op-load", kLoadThreads, kMaxWaiting),
      drains_("op-drain", kDrainThreads, kMaxWaiting),
      probes_("op-probe", kProbeThreads, kMaxWaiting),
      reconciler_({.cluster = cluster,
                   .replicas = replicas,
                   .routes = routes_,
                   .scaler = scaler_,
                   .triggers = triggers_,
                   .meter = meter_,
                   .queue = queue_,
                   .loads = loads_,
                   .drains = drains_,
                   .probes = probes_,
                   .clock = clock,
                   .metrics = metrics,
                   .pool = pool},
                  options_.reconciler),
      controller_("op-worker", "function", queue_, metrics, clock, [this](const std::string& function) {
        Result result = reconciler_.Reconcile(function);
        if (result.status().ok()) Settle(function);
        return result;
      }) {
  inlet_->operator_ = this;
}

Operator::~Operator() { Stop(); }

absl::Status Operator::Start() {
  gateways_.OnReport([inlet = inlet_](const v1::GatewayReport& report) {
    if (const base::Gate::Pass pass = inlet->gate.Enter()) inlet->operator_->OnReport(report);
  });
  lease_publisher_.Start();
  absl::Status watching = cluster_.Watch([this](const std::string& function) { queue_.Add(function); });
  if (!watching.ok()) return base::WithContext(watching, "watching the functions");
  ClaimRoutes();
  if (pool_ != nullptr) {
    pool_->OnStandby([this](const std::vector<StandbyReplica>& replicas) {
      v1::Standby standby;
      for (const StandbyReplica& replica : replicas) {
        v1::StandbyReplica& each = *standby.add_replicas();
        each.set_address(replica.address);
        each.set_namespace_(replica.space);
      }
      routes_.PutStandby(standby);
    });
  }
  {
    const std::vector<std::string> functions = cluster_.Functions();
    const std::lock_guard lock(settling_mutex_);
    settling_.insert(functions.begin(), functions.end());
    settle_by_ = clock_.Now() + options_.settle_timeout;
    if (settling_.empty()) gateways_.Open();
  }
  controller_.Start(options_.workers);
  ticker_ = base::StartThread("op-scaler", [this](std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    for (std::size_t slice = 0; !stop.stop_requested(); slice = (slice + 1) % Scaler::kSlices) {
      const base::MonotonicTime next = clock_.Now() + options_.scaling.tick / Scaler::kSlices;
      for (const std::string& function : scaler_.Tick(slice)) queue_.Add(function);
      if (slice == 0) SettleLate();
      std::unique_lock lock(mutex);
      clock_.WaitUntil(lock, never, stop, next, [] { return false; });
    }
  });
  return absl::OkStatus();
}

void Operator::Stop() {
  if (std::exchange(stopped_, true)) return;
  // From the outside in: no news, no decisions, no workers, no calls.
  cluster_.Unwatch();
  if (pool_ != nullptr) pool_->OnStandby(nullptr);
  gateways_.OnReport(nullptr);
  inlet_->gate.Close();
  // A report takes microseconds; what would hold one longer than this is a defect, and waiting on hides nothing.
  while (!inlet_->gate.WaitUntil(std::chrono::steady_clock::now() + std::chrono::seconds(1))) {
    base::log::Warn("the operator waits for a gateway's report to be taken in");
  }
  lease_publisher_.Stop();
  ticker_.request_stop();
  if (ticker_.joinable()) ticker_.join();
  controller_.Stop();
  replicas_.Cancel();
  loads_.Stop();
  drains_.Stop();
  probes_.Stop();
}

void Operator::OnReport(const v1::GatewayReport& report) {
  for (const std::string& function : scaler_.Observe(report)) queue_.Add(function);
  for (const std::string& function : triggers_.Observe(report)) queue_.Add(function);
  for (const Meter::Due& due : meter_.Observe(report)) queue_.AddAfter(due.function, due.at - clock_.Now());
  leases_.Observe(report);
  routes_.Observe(report);
  if (report.unreachable_replicas_size() > 0) reconciler_.OnReport(report);
  if (!on_demand_) return;
  for (const v1::Demand& demand : report.demand()) on_demand_(demand.function());
  for (const v1::TriggerReport& trigger : report.triggers()) on_demand_(trigger.function());
}

void Operator::Settle(const std::string& function) {
  const std::lock_guard lock(settling_mutex_);
  if (!settling_.contains(function) || !reconciler_.Settled(function)) return;
  settling_.erase(function);
  if (settling_.empty()) gateways_.Open();
}

void Operator::SettleLate() {
  const std::lock_guard lock(settling_mutex_);
  if (settling_.empty() || clock_.Now() < settle_by_) return;
  base::log::Warn("some functions are not understood yet; gateways get the routes without them",
                  {{"functions", settling_.size()}, {"first", *settling_.begin()}});
  settling_.clear();
  gateways_.Open();
}

void Operator::ClaimRoutes() {
  std::vector<std::string> functions = cluster_.Functions();
  std::sort(functions.begin(), functions.end());
  for (const std::string& function : functions) {
    const auto object = cluster_.GetFunction(function);
    // What cannot be read now is read by its reconcile.
    if (object.ok() && object->function) {
      static_cast<void>(routes_.Claim(function, EffectiveHttpTriggers(*object->function)));
    }
  }
}

}  // namespace mayfly::op
