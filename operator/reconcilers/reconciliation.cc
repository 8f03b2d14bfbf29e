#include "operator/reconcilers/reconciliation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/backoff.h"
#include "base/log.h"
#include "operator/api/triggers.h"
#include "operator/autoscaler/scaling_spec.h"
#include "operator/reconcilers/event_route.h"
#include "operator/reconcilers/status_builder.h"
#include "proto/problem.h"
#include "proto/stable_bytes.h"

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

constexpr auto kListLag = 10s;        // a replica that was just made may not be listed yet
constexpr auto kDescribedFresh = 2s;  // how long "idle" may be believed when choosing whom to stop
constexpr int kStartFailuresToRefuse = 3;
constexpr auto kStartFailingToRefuse = 3s;  // what was killed by chance is not taken for what cannot live
constexpr std::size_t kEventsKept = 32;
constexpr std::string_view kUnschedulable = "Unschedulable";

}  // namespace

Reconciliation::Reconciliation(const ReconcilerParts& parts, const ReconcilerOptions& options,
                               FunctionState& state)
    : parts_(parts), options_(options), state_(state), now_(parts.clock.Now()) {}

Result Reconciliation::Run() {
  absl::StatusOr<FunctionObject> object = parts_.cluster.GetFunction(state_.key);
  const bool gone = absl::IsNotFound(object.status());
  if (!object.ok() && !gone) {
    return Result::Failed(base::WithContext(object.status(), "reading the function"));
  }
  if (object.ok()) {
    // The last good manifest stays in force while the newest is wrong; what a function that is gone needs to end well
    // (its timeout) is kept.
    state_.object = *std::move(object);
  }
  Remember();
  ListReplicas();
  TakeInbox();
  if (gone) return Retire();
  if (!state_.object.function) {
    WriteStatus();
    return Finish();
  }

  ChooseRevision();
  const FunctionSpec& spec = state_.object.function->spec;
  const std::int32_t desired = parts_.scaler.Configure(state_.key, ScalingSpecOf(spec));
  Scale(desired);
  Load();
  ReadSecrets();
  claim_ = parts_.routes.Claim(state_.key, EffectiveHttpTriggers(*state_.object.function));
  Publish();
  Claim();
  MoveLeaving();
  WriteStatus();
  return Finish();
}

void Reconciliation::NoteBlocked(const ReplicaState& replica) {
  // One that cannot be scheduled now may be in a moment, when another node comes: those who ask may wait for that.
  if (replica.seen.reason != kUnschedulable) blocked_ = true;
  const std::string blocked = fmt::format("{}: {}", replica.seen.reason, replica.seen.message);
  if (state_.blocked == blocked) return;
  state_.blocked = blocked;
  std::string message = fmt::format("replica {} does not start: {}", replica.seen.name, replica.seen.message);
  if (Unfetched()) message += "; for a replica of the pool, " + state_.unfetched->problem.message();
  NoteFailure(v1::MakeProblem("operator", replica.seen.reason, std::move(message)));
}

void Reconciliation::ListReplicas() {
  for (auto& [name, replica] : state_.replicas) replica.listed = false;
  std::int32_t found = 0;
  for (Replica& listed : parts_.cluster.Replicas(state_.key)) {
    auto [entry, is_new] = state_.replicas.try_emplace(listed.name);
    ReplicaState& replica = entry->second;
    const ReplicaPhase before = replica.seen.phase;
    if (is_new) {
      replica.added = now_;
      ++found;
    } else if (before == ReplicaPhase::kRunning && listed.phase == ReplicaPhase::kStarting) {
      replica.known = false;  // its runtime was started anew: what it had loaded is gone
      replica.revision.clear();
    }
    replica.listed = true;
    replica.ever_listed = true;
    replica.seen = std::move(listed);
    if (replica.seen.phase == ReplicaPhase::kRunning && before != ReplicaPhase::kRunning &&
        state_.cold_start && state_.cold_start->replica == replica.seen.name) {
      state_.cold_start->running = now_;
    }
    if (replica.seen.phase == ReplicaPhase::kEnding && replica.stage < ReplicaStage::kDeleted) {
      // Somebody deleted it, or its node is being emptied. It finishes what it has by itself, within its timeout.
      replica.stage = ReplicaStage::kDeleted;
      replica.deleted_at = now_ + Timeout();
    }
    if (replica.seen.phase == ReplicaPhase::kStarting && !replica.seen.reason.empty()) NoteBlocked(replica);
    if (replica.seen.phase == ReplicaPhase::kFailed && !replica.lost &&
        replica.stage < ReplicaStage::kDrained) {
      Lose(replica, replica.seen.reason.empty() ? "ReplicaFailed" : replica.seen.reason,
           fmt::format("replica {} ended by itself: {}", replica.seen.name, replica.seen.message));
    }
  }
  for (auto it = state_.replicas.begin(); it != state_.replicas.end();) {
    ReplicaState& replica = it->second;
    // A cluster may list what was just made a moment later.
    const bool may_come = !replica.ever_listed && !replica.lost && now_ - replica.added < kListLag;
    if (replica.listed || may_come) {
      if (!replica.listed) WakeAt(replica.added + kListLag);
      ++it;
      continue;
    }
    if (!replica.lost && replica.stage == ReplicaStage::kServing) {
      Lose(replica, "ReplicaGone", fmt::format("replica {} is gone, and nobody told it to go", it->first));
    }
    if (!replica.seen.address.empty()) parts_.replicas.Forget(replica.seen.address);
    if (replica.taken) parts_.pool->GiveBack(it->first);
    gone_.push_back(it->first);
    it = state_.replicas.erase(it);
  }
  if (!state_.adopted) {
    state_.adopted = true;
    state_.last_desired = found;  // whoever made them has told why
    parts_.scaler.Adopt(state_.key, found);
  }
}

void Reconciliation::ChooseRevision() {
  const FunctionObject& object = state_.object;
  if (object.problem && state_.noted_manifest_problem != object.problem->message()) {
    state_.noted_manifest_problem = object.problem->message();
    NoteFailure(*object.problem);
  } else if (!object.problem) {
    state_.noted_manifest_problem.clear();
  }
  if (object.artifact_problem && state_.noted_artifact_problem != object.artifact_problem->message()) {
    state_.noted_artifact_problem = object.artifact_problem->message();
    NoteFailure(*object.artifact_problem);
  } else if (!object.artifact_problem) {
    state_.noted_artifact_problem.clear();
  }

  state_.wanted = MakeRevision(object);
  if (state_.refused && (!state_.wanted || state_.refused->revision != state_.wanted->name))
    state_.refused.reset();
  if (state_.refused && state_.refused->retry_at > now_) WakeAt(state_.refused->retry_at);
}

const Revision* Reconciliation::Target() const {
  if (state_.wanted && !(state_.refused && state_.refused->retry_at > now_)) return &*state_.wanted;
  return state_.good ? &*state_.good : nullptr;
}

bool Reconciliation::Alive(const ReplicaState& replica) const {
  return replica.stage == ReplicaStage::kServing && !replica.lost;
}

bool Reconciliation::Fits(const ReplicaState& replica) const {
  const bool lacks = state_.wanted && replica.revision != state_.wanted->name;
  if (replica.seen.pooled && lacks && Unfetched()) return false;
  const std::string& wanted = state_.object.replica_template;
  return wanted.empty() || replica.seen.replica_template.empty() || replica.seen.replica_template == wanted;
}

bool Reconciliation::IsEndpoint(const ReplicaState& replica) const {
  return Alive(replica) && replica.seen.phase == ReplicaPhase::kRunning && !replica.revision.empty();
}

std::chrono::milliseconds Reconciliation::Timeout() const {
  return state_.object.function ? state_.object.function->spec.timeout : std::chrono::milliseconds(60s);
}

void Reconciliation::Scale(std::int32_t desired) {
  const auto fitting = static_cast<std::int32_t>(
      std::count_if(state_.replicas.begin(), state_.replicas.end(),
                    [&](const auto& entry) { return Alive(entry.second) && Fits(entry.second); }));
  if (fitting < desired) {
    CreateReplicas(desired - fitting);
  } else if (fitting > desired) {
    RemoveReplicas(fitting - desired);
  }
  RemoveOutdated(desired);
  if (desired != state_.last_desired) {
    const auto decision = parts_.scaler.Latest(state_.key);
    Record(false, "Scaled",
           fmt::format("scaled {} from {} to {} replicas: {}", desired > state_.last_desired ? "up" : "down",
                       state_.last_desired, desired, decision ? decision->message : ""));
    state_.last_desired = desired;
  }
}

void Reconciliation::CreateReplicas(std::int32_t missing) {
  // One that was about to go is there already.
  for (auto& [name, replica] : state_.replicas) {
    if (missing == 0) return;
    if (replica.stage != ReplicaStage::kLeaving || replica.lost || !Fits(replica)) continue;
    replica.stage = ReplicaStage::kServing;
    replica.leave_version = 0;
    --missing;
  }
  const Revision* target = Target();
  if (target == nullptr) return;  // nothing could be loaded
  if (now_ < state_.create_not_before) return WakeAt(state_.create_not_before);
  const bool from_zero = state_.last_desired == 0;
  for (; missing > 0; --missing) {
    if (TakeFromPool(*target->function, from_zero)) continue;
    const base::MonotonicTime begin = parts_.clock.Now();
    const absl::StatusOr<std::string> name = parts_.cluster.CreateReplica(*target->function);
    if (!name.ok()) {
      CountStartFailure();
      state_.create_not_before = now_ + base::JitteredBackoff(state_.start_failures, 200ms, 60s);
      WakeAt(state_.create_not_before);
      NoteFailure(v1::MakeProblem(
          "operator", "CannotCreateReplica",
          fmt::format("a replica could not be created: {}", std::string(name.status().message()))));
      return;
    }
    ReplicaState& replica = state_.replicas[*name];
    replica.seen.name = *name;
    replica.seen.function = state_.key;
    replica.seen.replica_template = state_.object.replica_template;
    replica.added = now_;
    replica.known = true;
    if (from_zero && !state_.cold_start) {
      state_.cold_start = ColdStart{.replica = *name,
                                    .asked = parts_.scaler.Activation(state_.key).value_or(now_),
                                    .create_begin = begin,
                                    .create_end = parts_.clock.Now()};
    }
  }
}

bool Reconciliation::TakeFromPool(const Function& function, bool from_zero) {
  if (parts_.pool == nullptr || Unfetched()) return false;
  const base::MonotonicTime begin = parts_.clock.Now();
  absl::StatusOr<Replica> taken = parts_.pool->Take(function);
  if (!taken.ok()) {
    const std::string why(taken.status().message());
    if (absl::IsFailedPrecondition(taken.status()) && state_.noted_pool != why)
      Record(false, "PoolDoesNotFit", why + "; the function gets pods of its own");
    if (absl::IsResourceExhausted(taken.status()))
      Record(false, "PoolExhausted", why + "; the function gets a pod of its own");
    state_.noted_pool = absl::IsFailedPrecondition(taken.status()) ? why : "";
    return false;
  }
  state_.noted_pool.clear();
  ReplicaState& replica = state_.replicas[taken->name];
  replica = ReplicaState();
  replica.seen = *std::move(taken);
  replica.seen.replica_template = state_.object.replica_template;
  replica.added = now_;
  replica.known = true;
  replica.taken = true;
  if (from_zero && !state_.cold_start) {
    const base::MonotonicTime end = parts_.clock.Now();
    state_.cold_start = ColdStart{.replica = replica.seen.name,
                                  .pooled = true,
                                  .asked = parts_.scaler.Activation(state_.key).value_or(now_),
                                  .create_begin = begin,
                                  .create_end = end,
                                  .running = end};
  }
  return true;
}

void Reconciliation::Claim() {
  for (auto& [name, replica] : state_.replicas) {
    if (!replica.taken || !replica.claim_due || replica.call != ReplicaState::Call::kNone || !Alive(replica))
      continue;
    if (now_ < replica.claim_not_before) {
      WakeAt(replica.claim_not_before);
    } else {
      StartClaim(name, replica);
    }
  }
}

void Reconciliation::RemoveReplicas(std::int32_t excess) {
  struct Candidate {
    int preference;  // lower goes first
    std::uint32_t busy;
    base::MonotonicTime::duration age;
    std::string name;
  };
  std::vector<Candidate> candidates;
  bool asking = false;
  std::int32_t alive = 0;
  for (auto& [name, replica] : state_.replicas) {
    if (!Alive(replica) || !Fits(replica)) continue;
    ++alive;
    const bool endpoint = IsEndpoint(replica);
    candidates.push_back(
        {.preference = endpoint ? 1 : 0, .busy = replica.busy, .age = now_ - replica.added, .name = name});
  }
  const auto useless =
      std::count_if(candidates.begin(), candidates.end(), [](auto& c) { return c.preference == 0; });
  if (excess < alive && useless < excess) {
    // Idle ones go first: ask which are.
    for (auto& [name, replica] : state_.replicas) {
      if (!IsEndpoint(replica) || !Fits(replica) || now_ - replica.described_at < kDescribedFresh) continue;
      asking = true;
      if (replica.call == ReplicaState::Call::kNone) StartDescribe(name, replica);
    }
  }
  if (asking) return;  // the answers wake this function again
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.preference, a.busy, a.age, a.name) < std::tie(b.preference, b.busy, b.age, b.name);
  });
  for (const Candidate& candidate : candidates) {
    if (excess-- == 0) return;
    Leave(state_.replicas[candidate.name]);
  }
}

void Reconciliation::RemoveOutdated(std::int32_t desired) {
  const Revision* target = Target();
  const auto serving = static_cast<std::int32_t>(
      std::count_if(state_.replicas.begin(), state_.replicas.end(), [&](const auto& entry) {
        const ReplicaState& replica = entry.second;
        return IsEndpoint(replica) && Fits(replica) && target != nullptr && replica.revision == target->name;
      }));
  if (serving < desired) return;  // those that are outdated serve until then
  for (auto& [name, replica] : state_.replicas) {
    if (Alive(replica) && !Fits(replica)) Leave(replica);
  }
}

void Reconciliation::Leave(ReplicaState& replica) {
  replica.stage = ReplicaStage::kLeaving;
  replica.leave_version = 0;
  replica.leave_deadline = now_ + options_.confirm_timeout;
}

void Reconciliation::Load() {
  const Revision* target = Target();
  bool somebody_has_it = false;
  bool somebody_serves = false;
  bool somebody_loads = false;
  for (auto& [name, replica] : state_.replicas) {
    if (!Alive(replica)) continue;
    if (IsEndpoint(replica)) somebody_serves = true;
    if (target != nullptr && IsEndpoint(replica) && replica.revision == target->name) somebody_has_it = true;
    if (replica.call == ReplicaState::Call::kLoad) somebody_loads = true;
  }
  for (auto& [name, replica] : state_.replicas) {
    if (!Alive(replica) || replica.seen.phase != ReplicaPhase::kRunning) continue;
    if (replica.call != ReplicaState::Call::kNone) continue;
    const bool ask = !replica.known || replica.suspect;
    if (!ask && (target == nullptr || replica.revision == target->name || !Fits(replica))) continue;
    if (now_ < replica.not_before) {
      WakeAt(replica.not_before);
      continue;
    }
    if (ask) {
      StartDescribe(name, replica);
      continue;
    }
    // While an old revision serves, one replica tries the new one first: a bad module is refused once.
    if (somebody_serves && !somebody_has_it && somebody_loads) continue;
    StartLoad(name, replica, *target);
    somebody_loads = true;
  }
}

std::optional<v1::Problem> Reconciliation::Unavailable() const {
  for (const auto& [name, replica] : state_.replicas) {
    if (IsEndpoint(replica)) return std::nullopt;
  }
  if (Target() == nullptr) {
    if (state_.object.artifact_problem) return state_.object.artifact_problem;
    if (state_.refused) return state_.refused->problem;
    return v1::MakeProblem("operator", "NoArtifact",
                           "the function's artifact has not been read yet; try again in a moment");
  }
  if (blocked_) return state_.last_failure;
  // Asking again and again helps nobody who waits. Once nobody does, the next request may try.
  if (state_.start_failures >= kStartFailuresToRefuse &&
      now_ - state_.start_failing_since >= kStartFailingToRefuse && state_.last_desired > 0)
    return state_.last_failure;
  return std::nullopt;
}

std::string Reconciliation::Starting() const {
  std::string starting;
  for (const auto& [name, replica] : state_.replicas) {
    if (IsEndpoint(replica)) return "";
    if (replica.call == ReplicaState::Call::kLoad) {
      starting = fmt::format("replica {} loads its module and runs create()", name);
    } else if (starting.empty() && replica.stage == ReplicaStage::kServing &&
               replica.seen.phase == ReplicaPhase::kStarting && !replica.seen.reason.empty()) {
      starting = fmt::format("replica {}: {}", name, replica.seen.reason);
    }
  }
  return starting;
}

void Reconciliation::Publish() {
  const FunctionSpec& spec = state_.object.function->spec;
  v1::FunctionRoute route;
  route.set_function(state_.key);
  if (const Revision* target = Target()) route.set_revision(target->name);
  for (const Trigger& trigger : claim_.granted) {
    v1::HttpTrigger& http = *route.add_http();
    http.set_name(trigger.name);
    http.set_host(trigger.http->host);
    http.set_path(trigger.http->path);
    for (const std::string& method : trigger.http->methods) http.add_methods(method);
    http.set_events(trigger.event.has_value());
  }
  for (const auto& [name, replica] : state_.replicas) {
    // One out of the pool is told while it gets its module: gateways connect meanwhile, and hear from itself when it
    // has slots.
    const bool comes = Alive(replica) && replica.taken && replica.call == ReplicaState::Call::kLoad &&
                       replica.revision.empty();
    if (!IsEndpoint(replica) && !comes) continue;
    v1::Endpoint& endpoint = *route.add_endpoints();
    endpoint.set_replica(name);
    endpoint.set_address(replica.seen.address);
    endpoint.set_revision(comes ? replica.loading : replica.revision);
    endpoint.set_slots(comes ? 0 : replica.slots);
  }
  secret_problems_ = AddEvents(spec, state_.secrets, &route);
  route.set_timeout_ms(static_cast<std::uint32_t>(spec.timeout.count()));
  route.set_max_request_bytes(spec.max_request_bytes);
  route.set_hold_limit(options_.hold_limit);
  if (auto problem = Unavailable()) *route.mutable_unavailable() = *std::move(problem);
  route.set_starting(Starting());

  const std::uint64_t version = parts_.routes.Put(route);
  AwaitRouting(route, version);
  for (auto& [name, replica] : state_.replicas) {
    if (replica.stage == ReplicaStage::kLeaving && replica.leave_version == 0)
      replica.leave_version = version;
  }
  ObserveColdStart();
}

void Reconciliation::AwaitRouting(const v1::FunctionRoute& route, std::uint64_t version) {
  v1::FunctionRoute paths;
  *paths.mutable_http() = route.http();
  *paths.mutable_triggers() = route.triggers();
  Routing& routing = state_.routing;
  std::string bytes = v1::StableBytes(paths);
  if (routing.version == 0 || routing.paths != bytes) {
    // What an earlier operator wrote down of this manifest is not taken back while gateways come over.
    const bool known = routing.version == 0 && state_.written && RoutedBefore(*state_.written);
    routing = {.paths = std::move(bytes),
               .version = version,
               .deadline = now_ + options_.confirm_timeout,
               .confirmed = known};
  }
  if (routing.confirmed) return;
  routing.confirmed = parts_.routes.Confirmed(routing.version);
  if (routing.confirmed) return;
  parts_.routes.WakeWhenConfirmed(routing.version, state_.key);
  if (now_ < routing.deadline) WakeAt(routing.deadline);
}

bool Reconciliation::RoutedBefore(const FunctionStatus& status) const {
  if (status.observed_generation != state_.object.function->generation) return false;
  return std::any_of(status.conditions.begin(), status.conditions.end(), [](const Condition& condition) {
    return condition.type == kTriggersReady && condition.status == ConditionStatus::kTrue;
  });
}

void Reconciliation::MoveLeaving() {
  for (auto& [name, replica] : state_.replicas) MoveOneLeaving(name, replica);
}

void Reconciliation::MoveOneLeaving(const std::string& name, ReplicaState& replica) {
  if (replica.stage == ReplicaStage::kLeaving) {
    const bool has_work = replica.seen.phase == ReplicaPhase::kRunning && !replica.lost;
    if (!has_work) {
      replica.stage = ReplicaStage::kDrained;
    } else if (replica.call != ReplicaState::Call::kNone) {
      // A Load or Describe in flight ends first; its end wakes this function.
    } else if (now_ < replica.not_before) {
      WakeAt(replica.not_before);
    } else if (parts_.routes.Confirmed(replica.leave_version) || now_ >= replica.leave_deadline) {
      StartDrain(name, replica);
    } else {
      WakeAt(replica.leave_deadline);
      parts_.routes.WakeWhenConfirmed(replica.leave_version, state_.key);
    }
  }
  if (replica.stage == ReplicaStage::kDrained) {
    const auto grace = replica.lost ? 0ms : std::chrono::milliseconds(options_.drain_margin);
    const absl::Status deleted = parts_.cluster.DeleteReplica(name, grace);
    if (!deleted.ok() && !absl::IsNotFound(deleted)) return NoteError(deleted, "deleting replica " + name);
    replica.stage = ReplicaStage::kDeleted;
    replica.deleted_at = now_;
    WakeAt(now_ + options_.drain_margin + kListLag);
  } else if (replica.stage == ReplicaStage::kDeleted && replica.listed) {
    const base::MonotonicTime again = replica.deleted_at + options_.drain_margin + kListLag;
    if (now_ >= again) {
      replica.stage = ReplicaStage::kDrained;  // it should be gone by now: once more
      replica.lost = true;
      return MoveOneLeaving(name, replica);
    }
    WakeAt(again);
  }
}

Result Reconciliation::Retire() {
  const std::uint64_t version = parts_.routes.Remove(state_.key);
  parts_.scaler.Forget(state_.key);
  parts_.meter.Forget(state_.key);
  for (auto& [name, replica] : state_.replicas) {
    if (replica.stage == ReplicaStage::kServing) {
      replica.stage = ReplicaStage::kLeaving;
      replica.leave_version = version;
      replica.leave_deadline = now_ + options_.confirm_timeout;
    } else if (replica.stage == ReplicaStage::kLeaving && replica.leave_version == 0) {
      replica.leave_version = version;
    }
  }
  MoveLeaving();
  if (state_.desired_gauge != nullptr) {
    state_.desired_gauge->Set(0);
    state_.ready_gauge->Set(0);
  }
  state_.adopted = false;
  state_.metered = false;
  state_.written.reset();
  state_.secrets = {};
  state_.routing = {};
  state_.last_desired = 0;
  retired_ = state_.replicas.empty();
  return Finish();
}

Result Reconciliation::Finish() {
  settled_ = std::none_of(state_.replicas.begin(), state_.replicas.end(), [this](const auto& entry) {
    const ReplicaState& replica = entry.second;
    return Alive(replica) && replica.seen.phase == ReplicaPhase::kRunning && !replica.known;
  });
  settled_ = settled_ && state_.secrets.Known();
  const auto delay =
      wake_at_ ? std::optional(std::max<std::chrono::nanoseconds>(*wake_at_ - now_, 1ms)) : std::nullopt;
  if (!error_.ok()) {
    // What is due is not put off by an error elsewhere.
    if (delay) parts_.queue.AddAfter(state_.key, *delay);
    return Result::Failed(error_);
  }
  return delay ? Result::After(*delay) : Result::Done();
}

void Reconciliation::Lose(ReplicaState& replica, const std::string& reason, const std::string& message) {
  const bool was_leaving = replica.stage != ReplicaStage::kServing;
  const bool served = !replica.revision.empty();
  replica.lost = true;
  replica.stage = ReplicaStage::kDrained;
  if (!replica.seen.address.empty()) parts_.replicas.Forget(replica.seen.address);  // ends a call in flight
  if (state_.cold_start && state_.cold_start->replica == replica.seen.name) state_.cold_start.reset();
  if (was_leaving) return;
  if (!served) {
    state_.create_not_before = now_ + base::JitteredBackoff(CountStartFailure(), 200ms, 60s);
  } else if (now_ - replica.loaded_at < 500ms) {
    state_.create_not_before = now_ + base::JitteredBackoff(++state_.quick_deaths, 50ms, 2s);
  } else {
    state_.quick_deaths = 0;
  }
  NoteFailure(v1::MakeProblem("operator", reason, message));
}

void Reconciliation::NoteFailure(v1::Problem problem) {
  Record(true, problem.reason(), problem.message());
  state_.last_failure = std::move(problem);
  state_.last_failure_time = parts_.clock.WallNow();
}

void Reconciliation::Record(bool warning, const std::string& reason, const std::string& message) {
  EventRecord event{.function = state_.key, .warning = warning, .reason = reason, .message = message};
  base::log::Write(warning ? base::log::Level::kWarn : base::log::Level::kInfo, message,
                   {{"function", state_.key}, {"reason", reason}});
  parts_.cluster.RecordEvent(event);
  std::lock_guard lock(state_.view_mutex);
  state_.view_events.push_back({.time = parts_.clock.WallNow(), .event = std::move(event)});
  if (state_.view_events.size() > kEventsKept) state_.view_events.pop_front();
}

void Reconciliation::WakeAt(base::MonotonicTime time) {
  wake_at_ = wake_at_ ? std::min(*wake_at_, time) : time;
}

void Reconciliation::NoteError(const absl::Status& status, const std::string& context) {
  if (error_.ok()) error_ = base::WithContext(status, context);
}

}  // namespace mayfly::op
