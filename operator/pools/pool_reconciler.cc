#include "operator/pools/pool_reconciler.h"

#include "operator/pools/pool_pass.h"

namespace mayfly::op {

Result PoolReconciler::Reconcile(const std::string& pool) {
  std::shared_ptr<PoolState> state;
  {
    const std::lock_guard lock(mutex_);
    auto& slot = states_[pool];
    if (!slot) slot = std::make_shared<PoolState>();
    state = slot;
  }
  PoolPass pass(parts_, *state, pool);
  Result result = pass.Run();
  if (pass.retired()) {
    const std::lock_guard lock(mutex_);
    states_.erase(pool);
  }
  return result;
}

}  // namespace mayfly::op
