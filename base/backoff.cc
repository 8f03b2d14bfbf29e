#include "base/backoff.h"

#include <algorithm>
#include <random>

namespace mayfly::base {

std::chrono::nanoseconds JitteredBackoff(int failures, std::chrono::nanoseconds first,
                                         std::chrono::nanoseconds longest) {
  if (failures <= 0) return std::chrono::nanoseconds(0);
  const int doublings = std::min(failures - 1, 30);
  std::chrono::nanoseconds delay = longest;
  if (first.count() < (longest.count() >> doublings)) delay = first * (1LL << doublings);
  thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_real_distribution<double> share(0.5, 1.0);
  return std::chrono::nanoseconds(
      static_cast<std::int64_t>(static_cast<double>(delay.count()) * share(random)));
}

Backoff::Duration Backoff::Next() {
  // No more are told apart, and a count that is not kept cannot overflow.
  constexpr int kMostCounted = 64;
  if (failures_ < kMostCounted) ++failures_;
  return std::chrono::duration_cast<Duration>(JitteredBackoff(failures_, first_, longest_));
}

}  // namespace mayfly::base
