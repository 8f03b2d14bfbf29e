// A Reconciliation is one pass over one function: what Reconcile(key) does, step by step.
//
// Lives for the length of the pass, on one thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "operator/reconcilers/function_reconciler.h"
#include "operator/reconcilers/function_state.h"

namespace mayfly::op {

class Reconciliation {
 public:
  Reconciliation(const ReconcilerParts& parts, const ReconcilerOptions& options, FunctionState& state);

  Result Run();

  // Replicas that are no longer there.
  const std::vector<std::string>& gone() const { return gone_; }
  // The function is gone and nothing of it is left.
  bool retired() const { return retired_; }
  // What runs of the function was understood, and its triggers' Secrets were read: its route says all there is to say,
  // whoever made its replicas.
  bool settled() const { return settled_; }

 private:
  // What happened since the last pass (inbox.cc).
  void TakeInbox();
  void Take(const LoadDone& done);
  void Take(const DescribeDone& done);
  void Take(const DrainDone& done);
  void Take(const ClaimDone& done);
  void Take(const ReportedUnreachable& report);
  void Take(const SecretRead& read);
  void Refuse(const Revision& revision, v1::Problem problem);

  // The steps of a pass.
  void Remember();
  void ListReplicas();
  void ChooseRevision();
  void Scale(std::int32_t desired);
  void CreateReplicas(std::int32_t missing);
  // Takes one out of the pool; whether there was one.
  bool TakeFromPool(const Function& function, bool from_zero);
  // Has those claimed that were taken out of the pool and have their module.
  void Claim();
  void RemoveReplicas(std::int32_t excess);
  void RemoveOutdated(std::int32_t desired);
  void Leave(ReplicaState& replica);
  void Load();
  // Has the Secrets read that triggers name and that are due.
  void ReadSecrets();
  void Publish();
  // Keeps in mind whether every gateway has the paths and triggers of `route` in force, which `version` brought them.
  void AwaitRouting(const v1::FunctionRoute& route, std::uint64_t version);
  // Whether `status` tells of this manifest that its triggers were routed.
  bool RoutedBefore(const FunctionStatus& status) const;
  void MoveLeaving();
  void MoveOneLeaving(const std::string& name, ReplicaState& replica);
  void WriteStatus();
  Result Retire();
  Result Finish();

  bool Alive(const ReplicaState& replica) const;
  bool IsEndpoint(const ReplicaState& replica) const;
  // Whether replicas of a pool cannot fetch the image that is wanted now.
  bool Unfetched() const;
  // Has pods of the function's own made for a while.
  void NoteUnfetched(const Revision& revision, const v1::Problem& problem);
  // Whether it was made as replicas are made now, so that it can serve what is wanted.
  bool Fits(const ReplicaState& replica) const;
  // The revision that replicas should have now; null if there is none that could serve.
  const Revision* Target() const;
  // Why requests cannot be served at all; nothing if they can, or if that is still to be seen.
  std::optional<v1::Problem> Unavailable() const;
  // What keeps the first endpoint from serving just now, for who waits in vain; "" if nothing is known.
  std::string Starting() const;
  std::chrono::milliseconds Timeout() const;

  void StartLoad(const std::string& name, ReplicaState& replica, const Revision& revision);
  void StartDescribe(const std::string& name, ReplicaState& replica);
  void StartDrain(const std::string& name, ReplicaState& replica);
  void StartClaim(const std::string& name, ReplicaState& replica);

  // A replica out of the pool that is not to be the function's: it is forgotten, and not deleted.
  void GiveBack(const std::string& name);
  // Notes what keeps a replica from starting.
  void NoteBlocked(const ReplicaState& replica);
  // One more replica has failed to start. Returns how many have in a row.
  int CountStartFailure();
  void Lose(ReplicaState& replica, const std::string& reason, const std::string& message);
  void NoteFailure(v1::Problem problem);
  void Record(bool warning, const std::string& reason, const std::string& message);
  void ObserveColdStart();
  void WakeAt(base::MonotonicTime time);
  void NoteError(const absl::Status& status, const std::string& context);

  const ReconcilerParts& parts_;
  const ReconcilerOptions& options_;
  FunctionState& state_;
  const base::MonotonicTime now_;

  RouteClaim claim_;
  std::vector<TriggerProblem> secret_problems_;  // of triggers that gateways are not told of
  std::optional<base::MonotonicTime> wake_at_;
  absl::Status error_;
  std::vector<std::string> gone_;
  bool retired_ = false;
  bool settled_ = false;
  bool blocked_ = false;  // a replica cannot start, and waiting does not help
};

}  // namespace mayfly::op
