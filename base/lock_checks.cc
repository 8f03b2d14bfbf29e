#include "base/lock_checks.h"

#include "absl/synchronization/mutex.h"

namespace mayfly::base {

void SkipLockChecks() {
#ifdef NDEBUG
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

}  // namespace mayfly::base
