// The half of a Reconciliation that talks to replicas: calls that start here end in the inbox, and are taken in by the
// next pass.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/backoff.h"
#include "base/log.h"
#include "operator/reconcilers/pull_secrets.h"
#include "operator/reconcilers/reconciliation.h"
#include "proto/problem.h"

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

constexpr auto kLoadMargin = 8s;  // beyond create()'s timeout: transfer or wait for a fetch, check, map
constexpr auto kTryLater = 1s;
// As the runtime says it: create() was killed from outside, by a person or for want of memory.
constexpr std::string_view kReasonCreateKilled = "CreateKilled";
// So often in a row, and the machine cannot run the module for now, whoever is to blame.
constexpr int kCreateKillsToRefuse = 5;
constexpr int kUnansweredToLose = 3;
// As the runtime says it: the module is on its way; and: where it is could not be reached, which may pass by itself.
constexpr std::string_view kReasonFetching = "ArtifactFetching";
constexpr std::string_view kReasonUnreachable = "ArtifactUnreachable";
constexpr auto kFetchPause = 200ms;
constexpr auto kUnreachablePause = 10s;
// How long a function gets pods of its own once a replica of a pool could not fetch its image.
constexpr auto kOwnPodsInstead = 10min;

// What keeps a replica from an image that its node may have, or may get.
bool NodeMayKnowMore(std::string_view reason) {
  // An earlier runtime, which knows nothing of images, finds no file at the path "".
  return reason == "ArtifactForbidden" || reason == "ArtifactUntrusted" || reason == kReasonUnreachable ||
         reason == "ArtifactNotServed" || reason == "FetchFailed" || reason == "NoSpace" ||
         reason == "NotReadable";
}

using LoadCall = std::function<absl::StatusOr<v1::LoadReply>(const std::optional<v1::ModuleImage>& image)>;

// Has the image fetched by whoever the function's pull secrets let fetch it.
absl::StatusOr<v1::LoadReply> LoadOutOfImage(const Cluster& cluster, const Revision& revision,
                                             const LoadCall& load) {
  const absl::StatusOr<PullSecrets> secrets =
      ReadPullSecrets(cluster, *revision.function, *revision.artifact_image);
  if (!secrets.ok()) {
    v1::LoadReply unknown;
    *unknown.mutable_problem() = v1::MakeProblem(
        "operator", kReasonUnreachable,
        fmt::format("the image {} cannot be fetched: {}", revision.artifact_image->reference(),
                    std::string(secrets.status().message())));
    return unknown;
  }
  absl::StatusOr<v1::LoadReply> reply = load(secrets->image);
  if (reply.ok() && reply->problem().reason() == "ArtifactForbidden" && !secrets->left_out.empty()) {
    v1::Problem& problem = *reply->mutable_problem();
    problem.set_message(fmt::format("{}; {}", problem.message(), secrets->left_out));
  }
  return reply;
}

}  // namespace

void Reconciliation::StartLoad(const std::string& name, ReplicaState& replica, const Revision& revision) {
  auto call = [&client = parts_.replicas, &cluster = parts_.cluster, &queue = parts_.queue,
               &clock = parts_.clock, inbox = state_.inbox, key = state_.key, name,
               address = replica.seen.address, pooled = replica.seen.pooled, revision, epoch = options_.epoch,
               create_timeout = options_.create_timeout] {
    const base::MonotonicTime begin = clock.Now();
    const auto load = [&](const std::optional<v1::ModuleImage>& image) {
      v1::LoadRequest request = MakeLoadRequest(revision, epoch, image);
      request.set_create_timeout_ms(static_cast<std::uint32_t>(create_timeout.count()));
      return client.Load(address, request, create_timeout + kLoadMargin);
    };
    auto reply =
        pooled && revision.artifact_image ? LoadOutOfImage(cluster, revision, load) : load(std::nullopt);
    inbox->Put(LoadDone{.replica = name,
                        .revision = revision,
                        .begin = begin,
                        .end = clock.Now(),
                        .reply = std::move(reply)});
    queue.Add(key);
  };
  if (!parts_.loads.Run(std::move(call))) return WakeAt(now_ + kTryLater);
  replica.call = ReplicaState::Call::kLoad;
  replica.loading = revision.name;
}

void Reconciliation::StartDescribe(const std::string& name, ReplicaState& replica) {
  auto call = [&client = parts_.replicas, &queue = parts_.queue, inbox = state_.inbox, key = state_.key, name,
               address = replica.seen.address, timeout = options_.describe_timeout] {
    inbox->Put(DescribeDone{.replica = name, .reply = client.Describe(address, timeout)});
    queue.Add(key);
  };
  if (!parts_.probes.Run(std::move(call))) return WakeAt(now_ + kTryLater);
  replica.call = ReplicaState::Call::kDescribe;
}

int Reconciliation::CountStartFailure() {
  if (state_.start_failures++ == 0) state_.start_failing_since = now_;
  return state_.start_failures;
}

void Reconciliation::StartDrain(const std::string& name, ReplicaState& replica) {
  const auto timeout = Timeout() + options_.drain_margin;
  auto call = [&client = parts_.replicas, &queue = parts_.queue, inbox = state_.inbox, key = state_.key, name,
               address = replica.seen.address, timeout, epoch = options_.epoch] {
    v1::DrainRequest request;
    request.set_epoch(epoch);
    request.set_deadline_ms(static_cast<std::uint32_t>(timeout.count()));
    inbox->Put(DrainDone{.replica = name, .reply = client.Drain(address, request, timeout + 1s)});
    queue.Add(key);
  };
  if (!parts_.drains.Run(std::move(call))) return WakeAt(now_ + kTryLater);
  replica.call = ReplicaState::Call::kDrain;
  replica.stage = ReplicaStage::kDraining;
}

void Reconciliation::StartClaim(const std::string& name, ReplicaState& replica) {
  auto call = [&pool = *parts_.pool, &queue = parts_.queue, inbox = state_.inbox, key = state_.key, name,
               function = state_.object.function] {
    inbox->Put(ClaimDone{.replica = name, .status = pool.Claim(name, *function)});
    queue.Add(key);
  };
  if (!parts_.probes.Run(std::move(call))) return WakeAt(now_ + kTryLater);
  replica.call = ReplicaState::Call::kClaim;
}

void Reconciliation::ReadSecrets() {
  std::set<std::string> wanted;
  std::set<std::string> troubled;
  const std::vector<TriggerProblem> problems = parts_.triggers.Problems(state_.key);
  for (const Trigger& trigger : state_.object.function->spec.triggers) {
    if (!trigger.event || trigger.event->message.secret_name().empty()) continue;
    const std::string& name = trigger.event->message.secret_name();
    wanted.insert(name);
    const bool complains = std::any_of(problems.begin(), problems.end(), [&](const TriggerProblem& problem) {
      return problem.trigger == trigger.name;
    });
    if (complains) troubled.insert(name);
  }
  for (const std::string& name : state_.secrets.Due(wanted, troubled, state_.object.secrets_version, now_)) {
    auto call = [&cluster = parts_.cluster, &queue = parts_.queue, inbox = state_.inbox, key = state_.key,
                 space = state_.object.function->space, name] {
      inbox->Put(SecretRead{.name = name, .secret = cluster.GetSecret(space, name)});
      queue.Add(key);
    };
    if (!parts_.probes.Run(std::move(call))) {
      state_.secrets.NotReading(name);
      WakeAt(now_ + kTryLater);
    }
  }
  if (const auto next = state_.secrets.NextDue(); next && *next > now_) WakeAt(*next);
}

void Reconciliation::TakeInbox() {
  for (const Happening& happening : state_.inbox->TakeAll()) {
    std::visit([this](const auto& what) { Take(what); }, happening);
  }
}

void Reconciliation::Take(const LoadDone& done) {
  const auto found = state_.replicas.find(done.replica);
  if (found == state_.replicas.end()) return;
  ReplicaState& replica = found->second;
  replica.call = ReplicaState::Call::kNone;
  if (replica.lost) return;
  // What runs its code, or waits for its module, is written down as the function's own.
  if (replica.taken && done.reply.ok())
    replica.claim_due = !done.reply->has_problem() || done.reply->bound() ||
                        done.reply->problem().reason() == kReasonFetching;

  if (done.reply.ok() && !done.reply->has_problem()) {
    replica.revision = done.revision.name;
    replica.slots = static_cast<std::uint32_t>(done.revision.function->spec.concurrency);
    replica.loaded_at = done.end;
    state_.start_failures = 0;
    state_.create_kills = 0;
    state_.blocked.clear();
    if (state_.refused && state_.refused->revision == done.revision.name) state_.refused.reset();
    if (!state_.good || state_.good->name != done.revision.name) {
      Record(false, "RevisionLoaded", fmt::format("revision {} serves", done.revision.name));
    }
    state_.good = done.revision;
    if (state_.cold_start && state_.cold_start->replica == done.replica) {
      state_.cold_start->load_begin = done.begin;
      state_.cold_start->load_end = done.end;
      state_.cold_start->reply = *done.reply;
    }
    return;
  }
  if (state_.cold_start && state_.cold_start->replica == done.replica) state_.cold_start.reset();
  if (done.reply.ok()) {
    const v1::Problem& problem = done.reply->problem();
    if (problem.reason() == kReasonFetching) {
      replica.not_before = now_ + kFetchPause;
      return;
    }
    if (replica.seen.pooled && done.revision.artifact_image && NodeMayKnowMore(problem.reason())) {
      NoteUnfetched(done.revision, problem);
      if (replica.taken && !replica.claim_due) GiveBack(done.replica);
      return;
    }
    // Replicas that have the module serve on while its source is away.
    if (problem.reason() == kReasonUnreachable && state_.good && state_.good->name == done.revision.name) {
      NoteFailure(problem);
      replica.not_before = now_ + kUnreachablePause;
      return;
    }
    if (problem.reason() != kReasonCreateKilled || ++state_.create_kills >= kCreateKillsToRefuse) {
      if (replica.taken && !replica.claim_due) {
        // None of its code ran there: it is as good as before for another function.
        GiveBack(done.replica);
      }
      return Refuse(done.revision, problem);
    }
    base::log::Warn("create() was killed; the module is loaded again",
                    {{"function", state_.key}, {"replica", done.replica}, {"problem", problem.message()}});
    replica.not_before = now_ + base::JitteredBackoff(state_.create_kills, 20ms, 1s);
    return;
  }

  const absl::Status& status = done.reply.status();
  const bool serves_another = !replica.revision.empty();
  switch (status.code()) {
    case absl::StatusCode::kCancelled:
      replica.not_before = now_ + kTryLater;  // the operator stops
      return;
    case absl::StatusCode::kFailedPrecondition:
      // Another operator, with a newer lease, commands this replica. It is not ours to harm.
      base::log::Error("a replica obeys another operator",
                       {{"function", state_.key}, {"replica", done.replica}, {"error", status.ToString()}});
      replica.not_before = now_ + 5s;
      return;
    case absl::StatusCode::kAlreadyExists:
      // Another operator gave it to another function at the same time, and was faster.
      if (replica.taken) return GiveBack(done.replica);
      return Lose(
          replica, "ForeignReplica",
          fmt::format("replica {} is another function's: {}", done.replica, std::string(status.message())));
    case absl::StatusCode::kUnavailable:
      if (serves_another) {
        replica.suspect = true;  // described next; what it serves may be alive
        replica.not_before = now_ + kTryLater;
        return;
      }
      break;
    case absl::StatusCode::kDeadlineExceeded:
      if (serves_another) {
        v1::Problem problem =
            v1::MakeProblem("operator", "LoadTimedOut",
                            fmt::format("revision {} was not loaded within {} s", done.revision.name,
                                        std::chrono::duration<double>(done.end - done.begin).count()));
        return Refuse(done.revision, std::move(problem));
      }
      break;
    default: {
      v1::Problem problem = v1::MakeProblem(
          "operator", "LoadFailed",
          fmt::format("the runtime refused to load the module: {}", std::string(status.message())));
      return Refuse(done.revision, std::move(problem));
    }
  }
  Lose(replica, "LoadFailed",
       fmt::format("replica {} could not be given its module: {}", done.replica,
                   std::string(status.message())));
}

bool Reconciliation::Unfetched() const {
  const std::optional<v1::ModuleImage>& image = state_.object.artifact_image;
  return state_.unfetched && image && image->reference() == state_.unfetched->reference &&
         now_ < state_.unfetched->until;
}

void Reconciliation::NoteUnfetched(const Revision& revision, const v1::Problem& problem) {
  state_.unfetched = UnfetchedImage{
      .reference = revision.artifact_image->reference(), .problem = problem, .until = now_ + kOwnPodsInstead};
  v1::Problem told = problem;
  told.set_message(problem.message() + ". The function gets pods of its own instead, whose nodes fetch it");
  NoteFailure(std::move(told));
}

void Reconciliation::GiveBack(const std::string& name) {
  if (state_.cold_start && state_.cold_start->replica == name) state_.cold_start.reset();
  parts_.pool->GiveBack(name);
  gone_.push_back(name);
  state_.replicas.erase(name);
}

void Reconciliation::Refuse(const Revision& revision, v1::Problem problem) {
  const bool again = state_.refused && state_.refused->revision == revision.name;
  Refusal refusal{
      .revision = revision.name, .problem = problem, .attempts = again ? state_.refused->attempts + 1 : 1};
  refusal.retry_at = now_ + base::JitteredBackoff(refusal.attempts, 10s, 5min);
  // One that used to load and does not any more serves nobody new.
  if (state_.good && state_.good->name == revision.name) state_.good.reset();
  const bool told = again && state_.refused->problem.message() == problem.message();
  state_.refused = std::move(refusal);
  if (!told) NoteFailure(std::move(problem));
}

void Reconciliation::Take(const DescribeDone& done) {
  const auto found = state_.replicas.find(done.replica);
  if (found == state_.replicas.end()) return;
  ReplicaState& replica = found->second;
  replica.call = ReplicaState::Call::kNone;
  replica.described_at = now_;
  const bool was_suspect = std::exchange(replica.suspect, false);
  if (replica.lost) return;
  if (!done.reply.ok()) {
    if (absl::IsCancelled(done.reply.status())) return;
    // Slow is not dead: a machine under load may need seconds. A connection that is refused says more.
    const bool refused = absl::IsUnavailable(done.reply.status());
    replica.busy = std::max(replica.slots, 1u);
    if (++replica.unanswered < (refused && was_suspect ? 1 : kUnansweredToLose)) {
      replica.suspect = true;
      replica.not_before = now_ + kTryLater;
      return WakeAt(replica.not_before);
    }
    return Lose(replica, "ReplicaDoesNotAnswer",
                fmt::format("replica {} does not answer: {}", done.replica,
                            std::string(done.reply.status().message())));
  }
  replica.unanswered = 0;
  const v1::DescribeReply& reply = *done.reply;
  if (!reply.function().empty() && reply.function() != state_.key) {
    return Lose(replica, "ForeignReplica",
                fmt::format("replica {} serves {} and not {}", done.replica, reply.function(), state_.key));
  }
  replica.known = true;
  replica.revision = reply.revision();
  if (replica.slots == 0 || reply.capacity().slots() > 0) replica.slots = reply.capacity().slots();
  replica.busy = reply.busy();
  if (reply.capacity().draining() && replica.stage == ReplicaStage::kServing) {
    // An earlier operator drained it, or its pod is being deleted: it takes nothing new.
    replica.stage = ReplicaStage::kLeaving;
    replica.leave_version = 0;
    replica.leave_deadline = now_ + options_.confirm_timeout;
    replica.revision.clear();
  }
}

void Reconciliation::Take(const DrainDone& done) {
  const auto found = state_.replicas.find(done.replica);
  if (found == state_.replicas.end()) return;
  ReplicaState& replica = found->second;
  replica.call = ReplicaState::Call::kNone;
  if (replica.lost || replica.stage != ReplicaStage::kDraining) return;
  if (absl::IsCancelled(done.reply.status())) {
    // The operator stops. What runs there is for the next one to wait for.
    replica.stage = ReplicaStage::kLeaving;
    replica.not_before = now_ + kTryLater;
    return;
  }
  replica.stage = ReplicaStage::kDrained;
  if (!done.reply.ok()) {
    base::log::Warn(
        "a replica was not drained",
        {{"function", state_.key}, {"replica", done.replica}, {"error", done.reply.status().ToString()}});
  } else if (done.reply->remaining() > 0) {
    base::log::Warn(
        "a replica is stopped with invocations that still run",
        {{"function", state_.key}, {"replica", done.replica}, {"remaining", done.reply->remaining()}});
  }
}

void Reconciliation::Take(const ClaimDone& done) {
  const auto found = state_.replicas.find(done.replica);
  if (found == state_.replicas.end()) return;
  ReplicaState& replica = found->second;
  replica.call = ReplicaState::Call::kNone;
  if (done.status.ok()) {
    replica.taken = replica.claim_due = false;
    return;
  }
  if (replica.lost) return;
  if (absl::IsNotFound(done.status) || absl::IsAborted(done.status)) {
    base::log::Warn("a replica of the pool is gone or another's; the function does without it",
                    {{"function", state_.key}, {"replica", done.replica}, {"error", done.status.ToString()}});
    return GiveBack(done.replica);
  }
  // The API server is away: the replica serves meanwhile.
  base::log::Warn("a replica of the pool is not claimed yet",
                  {{"function", state_.key}, {"replica", done.replica}, {"error", done.status.ToString()}});
  replica.claim_not_before = now_ + base::JitteredBackoff(++replica.claim_failures, 500ms, 30s);
}

void Reconciliation::Take(const SecretRead& read) { state_.secrets.Take(read.name, read.secret, now_); }

void Reconciliation::Take(const ReportedUnreachable& report) {
  const auto found = state_.replicas.find(report.replica);
  if (found == state_.replicas.end()) return;
  ReplicaState& replica = found->second;
  // A gateway repeats what it cannot reach with every report; once a second is asked.
  if (Alive(replica) && now_ - replica.described_at >= kTryLater) replica.suspect = true;
}

}  // namespace mayfly::op
