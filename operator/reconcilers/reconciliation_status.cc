// The part of a Reconciliation that tells of the function: its status, its metrics.
#include <algorithm>
#include <utility>

#include "operator/reconcilers/reconciliation.h"
#include "operator/reconcilers/status_builder.h"

namespace mayfly::op {
namespace {

constexpr auto kColdStartPatience = std::chrono::seconds(1);

}  // namespace

// Takes over what an earlier operator wrote down.
void Reconciliation::Remember() {
  if (!std::exchange(state_.metered, true)) {
    const std::optional<FunctionStatus>& status = state_.object.status;
    parts_.meter.Restore(state_.key, status ? status->usage : std::nullopt, /*is_new=*/!status);
  }
  if (state_.written || !state_.object.status) return;
  state_.written = state_.object.status;
  state_.last_failure = state_.written->last_failure;
  state_.last_failure_time = state_.written->last_failure_time;
  std::lock_guard lock(state_.view_mutex);
  state_.view_status = *state_.written;
}

void Reconciliation::WriteStatus() {
  StatusInputs inputs{.object = state_.object, .wanted = {}, .unavailable = {}, .conflicts = claim_.refused};
  if (state_.object.function) {
    inputs.unavailable = Unavailable();
    if (state_.wanted) inputs.wanted = state_.wanted->name;
    if (state_.refused) inputs.refused = state_.refused->problem;
    inputs.trigger_problems = parts_.triggers.Problems(state_.key);
    std::erase_if(inputs.trigger_problems, [this](const TriggerProblem& of_gateways) {
      return std::any_of(secret_problems_.begin(), secret_problems_.end(),
                         [&](const TriggerProblem& own) { return own.trigger == of_gateways.trigger; });
    });
    inputs.trigger_problems.insert(inputs.trigger_problems.end(), secret_problems_.begin(),
                                   secret_problems_.end());
    // What was written down of this manifest is not taken back while gateways come over to this operator, or a trigger goes from
    // one to another.
    if (!state_.written || !RoutedBefore(*state_.written)) {
      for (const Trigger& trigger : state_.object.function->spec.triggers) {
        if (trigger.event && !parts_.triggers.Heard(state_.key, trigger.name))
          inputs.triggers_unheard.push_back(trigger.name);
      }
    }
    inputs.routed = !claim_.granted.empty();
    inputs.all_gateways_know = state_.routing.confirmed;
    if (!inputs.all_gateways_know) inputs.gateways_lacking = parts_.routes.Lacking(state_.routing.version);
    if (inputs.routed) inputs.url = options_.base_url + claim_.granted.front().http->path;
  }
  for (const auto& [name, replica] : state_.replicas) {
    if (Alive(replica)) ++inputs.replicas;
    if (IsEndpoint(replica)) ++inputs.ready_replicas;
  }
  inputs.wanted_loaded = state_.good && state_.good->name == inputs.wanted;
  inputs.older_serves = state_.good || inputs.ready_replicas > 0;
  if (state_.good) inputs.older = state_.good->name;
  inputs.desired = state_.last_desired;
  if (const auto decision = parts_.scaler.Latest(state_.key)) inputs.scaling_reason = decision->message;
  inputs.last_failure = state_.last_failure;
  inputs.last_failure_time = state_.last_failure_time;

  if (!claim_.refused.empty() && state_.noted_conflict != ConflictMessage(claim_.refused)) {
    state_.noted_conflict = ConflictMessage(claim_.refused);
    Record(true, "RouteConflict", state_.noted_conflict);
  } else if (claim_.refused.empty()) {
    state_.noted_conflict.clear();
  }
  if (state_.desired_gauge == nullptr && (inputs.desired > 0 || inputs.replicas > 0)) {
    const char* help = "Replicas of a function: desired, and ready to serve.";
    state_.desired_gauge = &parts_.metrics.Gauge("mayfly_function_replicas", help,
                                                 {{"function", state_.key}, {"state", "desired"}});
    state_.ready_gauge = &parts_.metrics.Gauge("mayfly_function_replicas", help,
                                               {{"function", state_.key}, {"state", "ready"}});
  }
  if (state_.desired_gauge != nullptr) {
    state_.desired_gauge->Set(inputs.desired);
    state_.ready_gauge->Set(inputs.ready_replicas);
  }

  // Who waits for Ready asks a gateway next, so that comes first. One that is cut off does not keep it up for ever.
  if (state_.object.function && !state_.routing.confirmed && now_ < state_.routing.deadline) return;
  // While a replica of the pool gets its module, which takes milliseconds, the request that waits goes first: a write would
  // hold up the pass that brings it there.
  if (state_.cold_start && state_.cold_start->pooled && now_ - state_.cold_start->asked < kColdStartPatience)
    return WakeAt(state_.cold_start->asked + kColdStartPatience);
  // What is to be said of a trigger is not known before its Secret was read, which takes some seconds at most.
  if (state_.secrets.Pending()) return;
  FunctionStatus status = BuildStatus(inputs, state_.written, parts_.clock.WallNow());
  status.usage = parts_.meter.Of(state_.key);
  const auto write_usage_at = parts_.meter.WriteAt(state_.key);
  if (state_.written && SameStatus(*state_.written, status) && !(write_usage_at && now_ >= *write_usage_at)) {
    if (write_usage_at) WakeAt(*write_usage_at);
    return;
  }
  {
    std::lock_guard lock(state_.view_mutex);
    state_.view_status = status;
  }
  const absl::Status written = parts_.cluster.WriteStatus(state_.key, status);
  if (!written.ok()) {
    if (!absl::IsNotFound(written)) NoteError(written, "writing the status");
    return;
  }
  if (const auto again = parts_.meter.Written(state_.key, status.usage)) WakeAt(*again);
  state_.written = std::move(status);
}

void Reconciliation::ObserveColdStart() {
  if (!state_.cold_start || !state_.cold_start->load_end || !state_.cold_start->running) return;
  const ColdStart& cold = *state_.cold_start;
  const base::MonotonicTime end = parts_.clock.Now();
  const auto observe = [&](const char* phase, std::chrono::duration<double> seconds) {
    parts_.metrics
        .Histogram("mayfly_cold_start_seconds",
                   "Starts from zero, by phase, from a pool or by a replica that was made.",
                   {{"phase", phase}, {"from", cold.pooled ? "pool" : "created"}},
                   base::Metrics::LatencyBuckets())
        .Observe(std::max(0.0, seconds.count()));
  };
  const auto fetch = std::chrono::microseconds(cold.reply.fetch_us());
  const auto check = std::chrono::microseconds(cold.reply.check_us());
  const auto map = std::chrono::microseconds(cold.reply.map_us());
  const auto init = std::chrono::microseconds(cold.reply.init_us());
  observe("decide", cold.create_begin - cold.asked);
  observe(cold.pooled ? "claim" : "create", *cold.running - cold.create_begin);
  observe("connect", *cold.load_end - *cold.running - fetch - check - map - init);
  observe("fetch", fetch);
  observe("check", check);
  observe("map", map);
  observe("init", init);
  observe("publish", end - *cold.load_end);
  observe("total", end - cold.asked);
  state_.cold_start.reset();
}

}  // namespace mayfly::op
