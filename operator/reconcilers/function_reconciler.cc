#include "operator/reconcilers/function_reconciler.h"

#include <utility>

#include "operator/reconcilers/reconciliation.h"

namespace mayfly::op {
namespace {

const char* PhaseName(const ReplicaState& replica) {
  switch (replica.stage) {
    case ReplicaStage::kLeaving:
      return "leaving";
    case ReplicaStage::kDraining:
      return "draining";
    case ReplicaStage::kDrained:
    case ReplicaStage::kDeleted:
      return "deleting";
    case ReplicaStage::kServing:
      break;
  }
  switch (replica.seen.phase) {
    case ReplicaPhase::kStarting:
      return "starting";
    case ReplicaPhase::kRunning:
      return replica.revision.empty() ? "loading" : "running";
    case ReplicaPhase::kEnding:
      return "draining";
    case ReplicaPhase::kFailed:
      break;
  }
  return "failed";
}

}  // namespace

FunctionReconciler::FunctionReconciler(ReconcilerParts parts, ReconcilerOptions options)
    : parts_(parts), options_(std::move(options)) {}

Result FunctionReconciler::Reconcile(const std::string& function) {
  std::shared_ptr<FunctionState> state;
  {
    std::lock_guard lock(mutex_);
    auto& slot = states_[function];
    if (!slot) slot = std::make_shared<FunctionState>(function);
    state = slot;
  }
  Reconciliation reconciliation(parts_, options_, *state);
  const Result result = reconciliation.Run();

  std::vector<ReplicaView> replicas;
  for (const auto& [name, replica] : state->replicas) {
    replicas.push_back({.name = name,
                        .phase = PhaseName(replica),
                        .address = replica.seen.address,
                        .revision = replica.revision,
                        .message = replica.seen.message});
  }
  {
    std::lock_guard lock(mutex_);
    for (const std::string& name : reconciliation.gone()) owners_.erase(name);
    for (const ReplicaView& replica : replicas) owners_[replica.name] = function;
    state->settled = reconciliation.settled();
    if (reconciliation.retired()) states_.erase(function);
  }
  std::lock_guard lock(state->view_mutex);
  state->view_replicas = std::move(replicas);
  return result;
}

void FunctionReconciler::OnReport(const v1::GatewayReport& report) {
  for (const std::string& replica : report.unreachable_replicas()) {
    std::shared_ptr<FunctionState> state;
    {
      std::lock_guard lock(mutex_);
      const auto owner = owners_.find(replica);
      if (owner == owners_.end()) continue;
      const auto found = states_.find(owner->second);
      if (found == states_.end()) continue;
      state = found->second;
    }
    state->inbox->Put(ReportedUnreachable{replica});
    parts_.queue.Add(state->key);
  }
}

bool FunctionReconciler::Settled(const std::string& function) const {
  std::lock_guard lock(mutex_);
  const auto found = states_.find(function);
  return found == states_.end() || found->second->settled;
}

std::optional<FunctionView> FunctionReconciler::View(const std::string& function) const {
  std::shared_ptr<FunctionState> state;
  {
    std::lock_guard lock(mutex_);
    const auto found = states_.find(function);
    if (found == states_.end()) return std::nullopt;
    state = found->second;
  }
  return ViewOf(*state);
}

std::vector<FunctionView> FunctionReconciler::Views() const {
  std::vector<std::shared_ptr<FunctionState>> states;
  {
    std::lock_guard lock(mutex_);
    states.reserve(states_.size());
    for (const auto& [key, state] : states_) states.push_back(state);
  }
  std::vector<FunctionView> views;
  views.reserve(states.size());
  for (const auto& state : states) views.push_back(ViewOf(*state));
  return views;
}

FunctionView FunctionReconciler::ViewOf(const FunctionState& state) const {
  FunctionView view;
  view.function = state.key;
  view.decisions = parts_.scaler.Recent(state.key);
  std::lock_guard lock(state.view_mutex);
  view.status = state.view_status;
  view.status.usage = parts_.meter.Of(state.key);  // what was written is older
  view.replicas = state.view_replicas;
  view.events.assign(state.view_events.begin(), state.view_events.end());
  return view;
}

}  // namespace mayfly::op
