#include "operator/external_scaler/external_scaler.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace mayfly::op {
namespace {

absl::Status NotKnown(const TriggerLoad& trigger) {
  return absl::UnavailableError(absl::StrCat("how many events wait at trigger ", trigger.trigger,
                                             " is not known", trigger.why_unknown.empty() ? "" : ": ",
                                             trigger.why_unknown));
}

absl::Status NoDemand() {
  return absl::UnavailableError("no gateway has told its demand yet, or one has not for a while");
}

}  // namespace

absl::StatusOr<ScalerView> ExternalScaler::Look(const std::string& function) const {
  std::optional<ScalerView> view = scaler_.Look(function);
  if (view) return *std::move(view);
  return absl::NotFoundError(
      absl::StrCat("there is no Function ", function,
                   ": the trigger's metadata.function names one of the ScaledObject's namespace"));
}

absl::StatusOr<bool> ExternalScaler::IsActive(const std::string& function) const {
  const absl::StatusOr<ScalerView> view = Look(function);
  if (!view.ok()) return view.status();
  const Load& load = view->load;
  if (load.demand.value_or(0) > 0) return true;
  if (std::any_of(load.triggers.begin(), load.triggers.end(),
                  [](const TriggerLoad& trigger) { return trigger.waiting > 0; }))
    return true;
  if (view->active && clock_.Now() - load.last_active < view->spec.scale_to_zero_after) return true;
  if (!load.demand) return NoDemand();
  for (const TriggerLoad& trigger : load.triggers) {
    if (!trigger.known) return NotKnown(trigger);
  }
  return false;
}

absl::StatusOr<std::vector<ExternalScaler::Metric>> ExternalScaler::Metrics(
    const std::string& function) const {
  const absl::StatusOr<ScalerView> view = Look(function);
  if (!view.ok()) return view.status();
  std::vector<Metric> metrics = {{.name = kConcurrency, .target = view->spec.TargetPerReplica()}};
  for (const auto& [trigger, per_replica] : view->spec.backlog_per_replica)
    metrics.push_back({.name = kBacklog + trigger, .target = view->spec.BacklogPerReplica(trigger)});
  return metrics;
}

absl::StatusOr<double> ExternalScaler::Value(const std::string& function, const std::string& metric) const {
  const absl::StatusOr<ScalerView> view = Look(function);
  if (!view.ok()) return view.status();
  const Load& load = view->load;
  if (metric == kConcurrency) {
    if (!load.demand) return NoDemand();
    if (load.current == 0 || load.history.size() == 0) return *load.demand;
    return std::max(view->inputs.stable_average, view->inputs.burst_average);
  }
  for (const auto& [trigger, per_replica] : view->spec.backlog_per_replica) {
    if (metric != kBacklog + trigger) continue;
    const auto found = std::find_if(load.triggers.begin(), load.triggers.end(),
                                    [&](const TriggerLoad& each) { return each.trigger == trigger; });
    if (found == load.triggers.end())
      return NotKnown(
          {.trigger = trigger, .waiting = 0, .known = false, .why_unknown = "no gateway has told it yet"});
    if (!found->known) return NotKnown(*found);
    return static_cast<double>(found->waiting);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("function ", function, " has no metric ", metric, ": GetMetricSpec lists those it has"));
}

}  // namespace mayfly::op
