// A PoolPass is one pass over one pool: what PoolReconciler::Reconcile(key) does, step by step.
//
// Lives for the length of the pass, on one thread.
#pragma once

#include <optional>
#include <string>

#include "operator/pools/pool_reconciler.h"

namespace mayfly::op {

class PoolPass {
 public:
  PoolPass(const PoolReconcilerParts& parts, PoolState& state, std::string key);

  Result Run();
  // The pool is gone.
  bool retired() const { return retired_; }

 private:
  void Remember();
  void TakeNews();
  void TakeInbox();
  void Take(const IdleDescribed& done);
  void Take(const IdleAdopted& done);
  void ListReplicas();
  void NoteUnusual(IdleState& replica);
  void AskReplicas();
  void Adopt(const std::string& name, const std::string& function);
  void Resize();
  void Create(std::int32_t count);
  // Deletes it, unless a function takes it first.
  void Delete(const std::string& name, IdleState& replica);
  void WriteStatus();
  RuntimePoolStatus MakeStatus();
  void Measure(const RuntimePoolStatus& status);
  void Retire();
  Result Finish();

  void Trouble(const std::string& reason, const std::string& message);
  void Record(bool warning, const std::string& reason, const std::string& message);
  void WakeAt(base::MonotonicTime time);
  void NoteError(const absl::Status& status, const std::string& context);

  const PoolReconcilerParts& parts_;
  PoolState& state_;
  const std::string key_;
  const base::MonotonicTime now_;

  PoolObject object_;
  std::int32_t desired_ = 0;
  bool troubled_ = false;  // something keeps replicas from starting now
  std::optional<base::MonotonicTime> wake_at_;
  absl::Status error_;
  bool retired_ = false;
};

}  // namespace mayfly::op
