#include "operator/kube/rate_limiter.h"

#include <algorithm>
#include <chrono>

namespace mayfly::kube {

RateLimiter::RateLimiter(const base::Clock& clock, Limits limits)
    : clock_(clock), limits_(limits), tokens_(limits.burst), filled_(clock.Now()) {}

absl::Status RateLimiter::Acquire(Priority priority, base::MonotonicTime deadline, std::stop_token stop) {
  using Seconds = std::chrono::duration<double>;
  std::unique_lock lock(mutex_);
  const base::MonotonicTime now = clock_.Now();
  tokens_ = std::min(limits_.burst, tokens_ + Seconds(now - filled_).count() * limits_.per_second);
  filled_ = now;
  if (priority == Priority::kUrgent || tokens_ >= 1) {
    // Urgent ones, too, are bounded: more than a second of debt is not remembered.
    tokens_ = std::max(tokens_ - 1, std::min(tokens_, -limits_.per_second));
    return absl::OkStatus();
  }
  const Seconds wait((1 - tokens_) / limits_.per_second);
  const base::MonotonicTime turn = now + std::chrono::ceil<std::chrono::nanoseconds>(wait);
  if (turn > deadline) {
    return absl::DeadlineExceededError(
        "too many requests of this process are waiting (client-side rate limit)");
  }
  tokens_ -= 1;
  clock_.WaitUntil(lock, never_, stop, turn, [] { return false; });
  return stop.stop_requested() ? absl::CancelledError("stopped") : absl::OkStatus();
}

}  // namespace mayfly::kube
