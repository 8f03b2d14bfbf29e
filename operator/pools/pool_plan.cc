#include "operator/pools/pool_plan.h"

#include <algorithm>
#include <tuple>

namespace mayfly::op {

void RecentDemand::Add(std::int64_t asked, base::MonotonicTime now) {
  while (!seconds_.empty() && now - seconds_.front().begin >= kWindow) seconds_.pop_front();
  if (asked == 0) return;
  if (seconds_.empty() || now - seconds_.back().begin >= std::chrono::seconds(1))
    seconds_.push_back({.begin = now});
  seconds_.back().asked += asked;
}

std::int64_t RecentDemand::Sum(base::MonotonicTime now) const {
  std::int64_t sum = 0;
  for (const Second& second : seconds_) {
    if (now - second.begin < kWindow) sum += second.asked;
  }
  return sum;
}

std::optional<base::MonotonicTime> RecentDemand::FallsAt() const {
  if (seconds_.empty()) return std::nullopt;
  return seconds_.front().begin + kWindow;
}

std::int32_t DesiredIdle(const RuntimePoolSpec& spec, std::int64_t asked_lately) {
  return static_cast<std::int32_t>(
      std::clamp<std::int64_t>(asked_lately, spec.size, std::max(spec.size, spec.max_size)));
}

PoolPlan PlanPool(const std::vector<IdleView>& replicas, std::int32_t desired, std::int32_t most_starting) {
  PoolPlan plan;
  std::vector<const IdleView*> fresh;
  std::int32_t starting = 0;
  for (const IdleView& replica : replicas) {
    if (replica.outdated) {
      plan.remove.push_back(replica.name);
    } else {
      fresh.push_back(&replica);
      if (replica.starting) ++starting;
    }
  }
  const auto missing = desired - static_cast<std::int32_t>(fresh.size());
  if (missing > 0) {
    plan.create = std::clamp(missing, 0, std::max(0, most_starting - starting));
    return plan;
  }
  std::sort(fresh.begin(), fresh.end(), [](const IdleView* a, const IdleView* b) {
    return std::tie(b->starting, b->added, a->name) < std::tie(a->starting, a->added, b->name);
  });
  for (std::int32_t i = 0; i < -missing; ++i) plan.remove.push_back(fresh[static_cast<std::size_t>(i)]->name);
  return plan;
}

}  // namespace mayfly::op
