// What the operator remembers of one function between two reconciles.
//
// A FunctionState belongs to whoever reconciles its key (one worker at a time), except its Inbox, into which executors
// and gateways' reports put what happened, and its View, which anybody may read.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "operator/autoscaler/scaler.h"
#include "operator/controller/cluster.h"
#include "operator/reconcilers/revision.h"
#include "operator/reconcilers/trigger_secrets.h"

namespace mayfly::op {

// How far a replica is from its end. Each step is taken once, in this order; a broken one skips to kDrained.
enum class ReplicaStage {
  kServing,   // it is, or becomes, an endpoint
  kLeaving,   // out of the route; gateways have not all confirmed it yet
  kDraining,  // told to finish what it has
  kDrained,   // nothing runs there any more: to be deleted
  kDeleted,   // deleted; the cluster may still list it for a while
};

struct ReplicaState {
  enum class Call { kNone, kLoad, kDescribe, kDrain, kClaim };

  Replica seen;              // as the cluster listed it last
  bool listed = false;       // in the last list
  bool ever_listed = false;  // in some list
  base::MonotonicTime added{};
  ReplicaStage stage = ReplicaStage::kServing;
  Call call = Call::kNone;  // at most one is in flight

  // Whether `revision` is what it really has: we made it, or it was described.
  bool known = false;
  std::string revision;  // "" if it has no module
  std::string loading;   // during a Load, the revision that it is to get
  std::uint32_t slots = 0;
  base::MonotonicTime loaded_at{};
  base::MonotonicTime not_before{};  // no Load sooner than this

  std::uint32_t busy = 0;
  base::MonotonicTime described_at{};
  bool suspect = false;  // a gateway cannot reach it: to be described
  int unanswered = 0;    // Describe calls in a row

  bool taken = false;      // out of the pool, and not claimed yet
  bool claim_due = false;  // its module is there, or on its way: to be claimed
  int claim_failures = 0;  // in a row
  base::MonotonicTime claim_not_before{};

  std::uint64_t leave_version = 0;  // the route update without it; 0 if not published yet
  base::MonotonicTime leave_deadline{};
  base::MonotonicTime deleted_at{};
  bool lost = false;  // nothing to wait for: it died, or does not answer
};

// A revision that its module or its create() does not let serve.
struct Refusal {
  std::string revision;
  v1::Problem problem;
  int attempts = 0;
  base::MonotonicTime retry_at{};
};

// An image that a replica of a pool could not fetch. Pods of the function's own are made meanwhile: their nodes may know more,
// credentials, a mirror or the image itself.
struct UnfetchedImage {
  std::string reference;
  v1::Problem problem;
  base::MonotonicTime until{};
};

// The clock of one cold start.
struct ColdStart {
  std::string replica;
  bool pooled = false;
  base::MonotonicTime asked{};
  base::MonotonicTime create_begin{};
  base::MonotonicTime create_end{};
  std::optional<base::MonotonicTime> running{};
  base::MonotonicTime load_begin{};
  std::optional<base::MonotonicTime> load_end{};
  v1::LoadReply reply{};
};

// Which requests the gateways were told to bring to the function, and whether they all know.
struct Routing {
  std::string paths{};             // hosts, paths and methods, serialised
  std::uint64_t version = 0;       // the route update that first said so; 0: nothing was said yet
  base::MonotonicTime deadline{};  // after that, the status is written without waiting for it
  bool confirmed = false;
};

struct LoadDone {
  std::string replica;
  Revision revision;
  base::MonotonicTime begin{};
  base::MonotonicTime end{};
  absl::StatusOr<v1::LoadReply> reply;
};
struct DescribeDone {
  std::string replica;
  absl::StatusOr<v1::DescribeReply> reply;
};
struct DrainDone {
  std::string replica;
  absl::StatusOr<v1::DrainReply> reply;
};
struct ClaimDone {
  std::string replica;
  absl::Status status;
};
struct ReportedUnreachable {
  std::string replica;
};
struct SecretRead {
  std::string name;
  absl::StatusOr<SecretData> secret;
};
using Happening = std::variant<LoadDone, DescribeDone, DrainDone, ClaimDone, ReportedUnreachable, SecretRead>;

// Thread-safe. Bounded: one call per replica and Secret is in flight, and a replica is reported once until it is taken out.
class Inbox {
 public:
  void Put(Happening happening) {
    std::lock_guard lock(mutex_);
    if (const auto* report = std::get_if<ReportedUnreachable>(&happening)) {
      if (!reported_.insert(report->replica).second) return;
    }
    happenings_.push_back(std::move(happening));
  }
  std::vector<Happening> TakeAll() {
    std::lock_guard lock(mutex_);
    reported_.clear();
    return std::exchange(happenings_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<Happening> happenings_;  // guarded by mutex_
  std::set<std::string> reported_;     // guarded by mutex_
};

struct ReplicaView {
  std::string name;
  std::string phase;  // starting, running, failed, leaving, draining, deleting
  std::string address;
  std::string revision;
  std::string message;
};

struct TimedEvent {
  base::WallTime time;
  EventRecord event;
};

// One function as people see it: `mayfly get`, `mayfly why`.
struct FunctionView {
  std::string function;
  FunctionStatus status;
  std::vector<ReplicaView> replicas;
  std::vector<TimedDecision> decisions;
  std::vector<TimedEvent> events;
};

struct FunctionState {
  explicit FunctionState(std::string function_key) : key(std::move(function_key)) {}

  const std::string key;
  const std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();

  FunctionObject object;
  std::map<std::string, ReplicaState> replicas;
  bool metered = false;  // its usage was taken up
  bool adopted = false;  // replicas of an earlier operator were looked for
  bool settled = false;  // guarded by the reconciler's mutex; see Reconciliation::settled()

  std::optional<Revision> wanted;
  std::optional<Revision> good;  // the last one that a replica took
  std::optional<Refusal> refused;
  std::optional<UnfetchedImage> unfetched;
  TriggerSecrets secrets;
  Routing routing;

  int start_failures = 0;                     // in a row, of replicas that never served
  base::MonotonicTime start_failing_since{};  // when the first of them failed
  int create_kills = 0;                       // in a row, of create() that someone killed
  int quick_deaths = 0;                       // in a row, of replicas that served for a moment only
  base::MonotonicTime create_not_before{};
  std::optional<v1::Problem> last_failure;
  base::WallTime last_failure_time{};
  std::optional<ColdStart> cold_start;

  std::optional<FunctionStatus> written;
  std::int32_t last_desired = 0;
  // What was told already, so that it is told once.
  std::string noted_manifest_problem;
  std::string noted_artifact_problem;
  std::string noted_conflict;
  std::string noted_pool;
  std::string blocked;  // what keeps replicas from starting
  // Made when the function is first active: idle ones have no series.
  prometheus::Gauge* desired_gauge = nullptr;
  prometheus::Gauge* ready_gauge = nullptr;

  mutable std::mutex view_mutex;
  FunctionStatus view_status;              // guarded by view_mutex
  std::vector<ReplicaView> view_replicas;  // guarded by view_mutex
  std::deque<TimedEvent> view_events;      // guarded by view_mutex
};

}  // namespace mayfly::op
