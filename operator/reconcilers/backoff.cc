#include "operator/reconcilers/backoff.h"

#include <algorithm>
#include <random>

namespace mayfly::op {

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

}  // namespace mayfly::op
