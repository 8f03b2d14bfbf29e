#include "operator/pools/pool_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/backoff.h"
#include "base/log.h"

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

constexpr auto kListLag = 10s;  // a replica that was just made may not be listed yet
constexpr auto kDescribeTimeout = 3s;
constexpr auto kDescribeAgain = 30s;  // of one that waits
constexpr auto kTryLater = 1s;
constexpr int kUnansweredToReplace = 3;
// A pod's start is a second of a node's processor: a large pool fills over some seconds.
constexpr std::int32_t kMostStarting = 10;
constexpr auto kWritePause = 1s;    // between two statuses of a pool that is taken from all the time
constexpr auto kRefillGrace = 60s;  // how long a pool may be short of replicas and still be called ready
constexpr std::string_view kReady = "Ready";

bool SameBeside(const Condition& a, const Condition& b) {
  return a.type == b.type && a.status == b.status && a.reason == b.reason && a.message == b.message;
}

bool SameStatus(const RuntimePoolStatus& a, const RuntimePoolStatus& b) {
  return a.observed_generation == b.observed_generation && a.idle == b.idle && a.ready == b.ready &&
         a.desired == b.desired && a.taken == b.taken &&
         std::equal(a.conditions.begin(), a.conditions.end(), b.conditions.begin(), b.conditions.end(),
                    &SameBeside);
}

}  // namespace

PoolPass::PoolPass(const PoolReconcilerParts& parts, PoolState& state, std::string key)
    : parts_(parts), state_(state), key_(std::move(key)), now_(parts.clock.Now()) {}

Result PoolPass::Run() {
  absl::StatusOr<PoolObject> object = parts_.cluster.GetPool(key_);
  if (absl::IsNotFound(object.status())) {
    Retire();
    return Result::Done();
  }
  if (!object.ok()) return Result::Failed(base::WithContext(object.status(), "reading the pool"));
  object_ = *std::move(object);
  Remember();
  if (object_.spec == nullptr) {
    // What waits is left as it is, and is not handed out: nobody knows what it should be like.
    parts_.idle.SetPool(key_, nullptr);
    for (auto& [name, replica] : state_.replicas) replica.due = now_;
    Trouble("InvalidManifest", object_.problem);
    WriteStatus();
    return Finish();
  }
  parts_.idle.SetPool(key_, object_.spec);
  TakeNews();
  ListReplicas();
  TakeInbox();
  AskReplicas();
  Resize();
  WriteStatus();
  return Finish();
}

// Takes over what an earlier operator wrote down.
void PoolPass::Remember() {
  if (std::exchange(state_.remembered, true) || !object_.status) return;
  state_.written = object_.status;
  state_.taken = object_.status->taken;
}

void PoolPass::TakeNews() {
  const IdleReplicas::News news = parts_.idle.TakeNews(key_);
  const auto taken = static_cast<std::int64_t>(news.taken.size());
  state_.taken += taken - news.returned;
  state_.demand.Add(taken + news.missed, now_);
  // One that was given back is listed again, and asked anew before another gets it.
  for (const std::string& name : news.taken) state_.replicas.erase(name);
}

void PoolPass::ListReplicas() {
  for (auto& [name, replica] : state_.replicas) replica.listed = false;
  for (Replica& listed : parts_.cluster.IdleReplicas(key_)) {
    auto [entry, is_new] = state_.replicas.try_emplace(listed.name);
    IdleState& replica = entry->second;
    if (is_new) replica.added = now_;
    replica.listed = replica.ever_listed = true;
    replica.seen = std::move(listed);
    NoteUnusual(replica);
  }
  for (auto it = state_.replicas.begin(); it != state_.replicas.end();) {
    IdleState& replica = it->second;
    const bool may_come = !replica.ever_listed && !replica.deleted_at && now_ - replica.added < kListLag;
    if (replica.listed || may_come) {
      if (!replica.listed) WakeAt(replica.added + kListLag);
      ++it;
      continue;
    }
    // One that a function has just taken keeps its connection.
    if (parts_.idle.Withdraw(key_, it->first) && !replica.seen.address.empty())
      parts_.replicas.Forget(replica.seen.address);
    it = state_.replicas.erase(it);
  }
}

// Failures, ends, and what keeps a replica from starting.
void PoolPass::NoteUnusual(IdleState& replica) {
  const std::string& name = replica.seen.name;
  if (replica.seen.phase == ReplicaPhase::kEnding) {
    // Somebody deletes it: nobody takes it any more.
    if (parts_.idle.Withdraw(key_, name) && !replica.deleted_at) replica.deleted_at = now_;
  } else if (replica.seen.phase == ReplicaPhase::kFailed && !replica.deleted_at) {
    if (!replica.ever_free) {
      state_.create_not_before = now_ + base::JitteredBackoff(++state_.start_failures, 200ms, 60s);
    }
    Trouble(replica.seen.reason.empty() ? "ReplicaFailed" : replica.seen.reason,
            fmt::format("idle replica {} ended by itself: {}", name, replica.seen.message));
    Delete(name, replica);
  } else if (replica.seen.phase == ReplicaPhase::kStarting && !replica.seen.reason.empty()) {
    Trouble(replica.seen.reason,
            fmt::format("idle replica {} does not start: {}", name, replica.seen.message));
  }
}

void PoolPass::AskReplicas() {
  for (auto& [name, replica] : state_.replicas) {
    if (replica.seen.phase != ReplicaPhase::kRunning || replica.called || replica.deleted_at) continue;
    if (now_ < replica.due) {
      WakeAt(replica.due);
      continue;
    }
    auto call = [&client = parts_.replicas, &queue = parts_.queue, inbox = state_.inbox, key = key_,
                 replica_name = name, address = replica.seen.address] {
      auto reply = client.Describe(address, kDescribeTimeout);
      {
        const std::lock_guard lock(inbox->mutex);
        inbox->described.push_back({.replica = replica_name, .reply = std::move(reply)});
      }
      queue.Add(key);
    };
    if (!parts_.calls.Run(std::move(call))) {
      WakeAt(now_ + kTryLater);
      return;
    }
    replica.called = true;
  }
}

void PoolPass::TakeInbox() {
  std::vector<IdleDescribed> described;
  std::vector<IdleAdopted> adopted;
  {
    const std::lock_guard lock(state_.inbox->mutex);
    described.swap(state_.inbox->described);
    adopted.swap(state_.inbox->adopted);
  }
  for (const IdleDescribed& done : described) Take(done);
  for (const IdleAdopted& done : adopted) Take(done);
}

void PoolPass::Take(const IdleDescribed& done) {
  const auto found = state_.replicas.find(done.replica);
  if (found == state_.replicas.end()) return;  // a function took it meanwhile
  IdleState& replica = found->second;
  replica.called = false;
  if (replica.deleted_at) return;
  if (!done.reply.ok()) {
    replica.due = now_ + kTryLater;
    if (absl::IsCancelled(done.reply.status())) return;
    // It may only be slow; but a function would wait for it.
    if (!parts_.idle.Withdraw(key_, done.replica)) return;
    replica.free = false;
    if (++replica.unanswered < kUnansweredToReplace) return;
    Record(true, "ReplicaDoesNotAnswer",
           fmt::format("idle replica {} does not answer: {}", done.replica,
                       std::string(done.reply.status().message())));
    if (!replica.ever_free)
      state_.create_not_before = now_ + base::JitteredBackoff(++state_.start_failures, 200ms, 60s);
    return Delete(done.replica, replica);
  }
  replica.unanswered = 0;
  replica.due = now_ + kDescribeAgain;
  if (!done.reply->function().empty()) return Adopt(done.replica, done.reply->function());
  if (done.reply->capacity().draining()) return;  // it ends
  if (!std::exchange(replica.ever_free, true)) {
    state_.start_failures = 0;
    parts_.metrics
        .Histogram("mayfly_pool_start_seconds", "From an idle replica's creation to when it can be taken.",
                   {{"pool", key_}}, base::Metrics::LatencyBuckets())
        .Observe(std::chrono::duration<double>(now_ - replica.added).count());
  }
  replica.free = true;
  if (replica.seen.replica_template == object_.replica_template) parts_.idle.Offer(key_, replica.seen);
}

void PoolPass::Adopt(const std::string& name, const std::string& function) {
  if (!parts_.idle.Withdraw(key_, name)) return;  // taken while it was asked: by the one who asked for it
  IdleState& replica = state_.replicas[name];
  replica.free = false;
  auto call = [&cluster = parts_.cluster, &queue = parts_.queue, inbox = state_.inbox, key = key_, name,
               function] {
    absl::Status status = cluster.Claim(name, function);
    {
      const std::lock_guard lock(inbox->mutex);
      inbox->adopted.push_back({.replica = name, .status = std::move(status)});
    }
    queue.Add(key);
  };
  if (!parts_.calls.Run(std::move(call))) {
    replica.due = now_ + kTryLater;
    return;
  }
  replica.called = true;
  base::log::Info("an idle replica holds a function's module; an earlier operator gave it away",
                  {{"pool", key_}, {"replica", name}, {"function", function}});
}

void PoolPass::Take(const IdleAdopted& done) {
  if (done.status.ok()) ++state_.taken;
  const auto found = state_.replicas.find(done.replica);
  if (found == state_.replicas.end()) return;
  IdleState& replica = found->second;
  replica.called = false;
  replica.due = now_ + kTryLater;
  if (done.status.ok()) return;  // the cluster lists it as the function's soon
  // Code of a function that is not there ran in it: it is nobody's any more.
  if (absl::IsFailedPrecondition(done.status)) return Delete(done.replica, replica);
  if (!absl::IsNotFound(done.status)) NoteError(done.status, "giving a replica to its function");
}

void PoolPass::Resize() {
  desired_ = DesiredIdle(*object_.spec, state_.demand.Sum(now_));
  if (desired_ > object_.spec->size) {
    if (const auto falls = state_.demand.FallsAt()) WakeAt(*falls);
  }
  std::vector<IdleView> views;
  for (const auto& [name, replica] : state_.replicas) {
    if (replica.deleted_at) continue;
    views.push_back({.name = name,
                     .starting = !replica.free,
                     .outdated = replica.listed && replica.seen.replica_template != object_.replica_template,
                     .added = replica.added});
  }
  const PoolPlan plan = PlanPool(views, desired_, kMostStarting);
  for (const std::string& name : plan.remove) Delete(name, state_.replicas[name]);
  if (plan.create > 0) Create(plan.create);
}

void PoolPass::Create(std::int32_t count) {
  if (now_ < state_.create_not_before) return WakeAt(state_.create_not_before);
  for (; count > 0; --count) {
    const absl::StatusOr<std::string> name = parts_.cluster.CreateIdle(object_);
    if (!name.ok()) {
      state_.create_not_before = now_ + base::JitteredBackoff(++state_.start_failures, 200ms, 60s);
      WakeAt(state_.create_not_before);
      return Trouble("CannotCreateReplica", fmt::format("an idle replica could not be created: {}",
                                                        std::string(name.status().message())));
    }
    IdleState& replica = state_.replicas[*name];
    replica.seen.name = *name;
    replica.added = now_;
    WakeAt(now_ + kListLag);
  }
}

void PoolPass::Delete(const std::string& name, IdleState& replica) {
  if (!parts_.idle.Withdraw(key_, name)) return;
  replica.free = false;
  const absl::Status deleted = parts_.cluster.DeleteIdle(name);
  if (!deleted.ok()) return NoteError(deleted, "deleting idle replica " + name);
  replica.deleted_at = now_;
  if (!replica.seen.address.empty()) parts_.replicas.Forget(replica.seen.address);
}

RuntimePoolStatus PoolPass::MakeStatus() {
  RuntimePoolStatus status;
  status.observed_generation = object_.generation;
  status.desired = desired_;
  status.taken = state_.taken;
  for (const auto& [name, replica] : state_.replicas) {
    if (replica.deleted_at) continue;
    ++status.idle;
    if (replica.free && parts_.idle.Waits(key_, name)) ++status.ready;
  }
  const bool full = object_.spec != nullptr && status.ready >= status.desired;
  if (full) state_.full_at = now_;
  // Between two attempts it is what it was at the last one.
  const bool troubled = !full && (troubled_ || (state_.start_failures > 0 && !state_.trouble_reason.empty()));
  if (!troubled) state_.trouble_reason.clear();
  Condition ready{.type = std::string(kReady),
                  .status = ConditionStatus::kTrue,
                  .reason = "Filled",
                  .message = {},
                  .last_transition = {}};
  if (troubled) {
    ready.status = ConditionStatus::kFalse;
    ready.reason = state_.trouble_reason;
    ready.message = state_.trouble_message;
  } else if (state_.full_at && now_ - *state_.full_at < kRefillGrace) {
    ready.message = "as many replicas wait as are wanted, or the last that were taken are being replaced";
    if (!full) WakeAt(*state_.full_at + kRefillGrace);
  } else {
    ready.status = ConditionStatus::kFalse;
    ready.reason = "Filling";
    ready.message = "replicas start";
  }
  ready.last_transition = parts_.clock.WallNow();
  if (state_.written) {
    for (const Condition& before : state_.written->conditions) {
      if (before.type == ready.type && before.status == ready.status)
        ready.last_transition = before.last_transition;
    }
  }
  status.conditions.push_back(std::move(ready));
  return status;
}

void PoolPass::Measure(const RuntimePoolStatus& status) {
  static constexpr const char* kStates[] = {"idle", "ready", "desired"};
  const std::int32_t counts[] = {status.idle, status.ready, status.desired};
  for (std::size_t i = 0; i < 3; ++i) {
    if (state_.gauges[i] == nullptr) {
      state_.gauges[i] =
          &parts_.metrics.Gauge("mayfly_pool_replicas", "Replicas of a pool that hold no module.",
                                {{"pool", key_}, {"state", kStates[i]}});
    }
    state_.gauges[i]->Set(counts[i]);
  }
}

void PoolPass::WriteStatus() {
  RuntimePoolStatus status = MakeStatus();
  Measure(status);
  if (state_.written && SameStatus(*state_.written, status)) return;
  if (now_ < state_.written_at + kWritePause && state_.written)
    return WakeAt(state_.written_at + kWritePause);
  const absl::Status written = parts_.cluster.WriteStatus(key_, status);
  if (!written.ok()) {
    if (!absl::IsNotFound(written)) NoteError(written, "writing the status");
    return;
  }
  state_.written = std::move(status);
  state_.written_at = now_;
}

void PoolPass::Retire() {
  parts_.idle.SetPool(key_, nullptr);
  for (const auto& [name, replica] : state_.replicas) {
    if (!replica.seen.address.empty()) parts_.replicas.Forget(replica.seen.address);
  }
  for (prometheus::Gauge* gauge : state_.gauges) {
    if (gauge != nullptr) gauge->Set(0);
  }
  retired_ = true;
}

Result PoolPass::Finish() {
  const auto delay =
      wake_at_ ? std::optional(std::max<std::chrono::nanoseconds>(*wake_at_ - now_, 1ms)) : std::nullopt;
  if (!error_.ok()) {
    if (delay) parts_.queue.AddAfter(key_, *delay);
    return Result::Failed(error_);
  }
  return delay ? Result::After(*delay) : Result::Done();
}

void PoolPass::Trouble(const std::string& reason, const std::string& message) {
  troubled_ = true;
  const bool told = state_.trouble_reason == reason && state_.trouble_message == message;
  state_.trouble_reason = reason;
  state_.trouble_message = message;
  if (!told) Record(true, reason, message);
}

void PoolPass::Record(bool warning, const std::string& reason, const std::string& message) {
  base::log::Write(warning ? base::log::Level::kWarn : base::log::Level::kInfo, message,
                   {{"pool", key_}, {"reason", reason}});
  parts_.cluster.RecordEvent({.pool = key_, .warning = warning, .reason = reason, .message = message});
}

void PoolPass::WakeAt(base::MonotonicTime time) { wake_at_ = wake_at_ ? std::min(*wake_at_, time) : time; }

void PoolPass::NoteError(const absl::Status& status, const std::string& context) {
  if (error_.ok()) error_ = base::WithContext(status, context);
}

}  // namespace mayfly::op
