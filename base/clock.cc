#include "base/clock.h"

namespace mayfly::base {

MonotonicTime RealClock::Now() const { return std::chrono::steady_clock::now(); }

WallTime RealClock::WallNow() const { return std::chrono::system_clock::now(); }

bool RealClock::WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable_any& condition,
                          std::stop_token stop, MonotonicTime deadline,
                          const std::function<bool()>& wake) const {
  return condition.wait_until(lock, std::move(stop), deadline, wake);
}

MonotonicTime FakeClock::Now() const {
  std::lock_guard lock(mutex_);
  return MonotonicTime(elapsed_);
}

WallTime FakeClock::WallNow() const {
  // 2026-01-01T00:00:00Z plus what the test has let pass.
  std::lock_guard lock(mutex_);
  return WallTime(std::chrono::seconds(1767225600)) +
         std::chrono::duration_cast<WallTime::duration>(elapsed_);
}

bool FakeClock::WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable_any& condition,
                          std::stop_token stop, MonotonicTime deadline,
                          const std::function<bool()>& wake) const {
  // The waiter sleeps on its own condition variable, which Advance() does not know; so it looks at the fake
  // time every millisecond of real time. Only tests pay for that.
  while (!wake()) {
    if (stop.stop_requested() || Now() >= deadline) return wake();
    condition.wait_for(lock, stop, std::chrono::milliseconds(1), wake);
  }
  return true;
}

void FakeClock::Advance(std::chrono::nanoseconds by) {
  std::lock_guard lock(mutex_);
  elapsed_ += by;
}

}  // namespace mayfly::base
