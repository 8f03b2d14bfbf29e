// What a pool does next, as pure functions of what there is.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/api/runtime_pool.h"

namespace mayfly::op {

// How many were asked of a pool lately, second by second.
class RecentDemand {
 public:
  static constexpr std::chrono::seconds kWindow{60};

  void Add(std::int64_t asked, base::MonotonicTime now);
  // Within kWindow before `now`.
  std::int64_t Sum(base::MonotonicTime now) const;
  // When the sum falls next by itself; nothing if it is 0.
  std::optional<base::MonotonicTime> FallsAt() const;

 private:
  struct Second {
    base::MonotonicTime begin;
    std::int64_t asked = 0;
  };
  std::deque<Second> seconds_;  // at most one for each second of the window, and one
};

// Idle replicas that a pool should have: what was asked of it within the window, within [size, maxSize].
std::int32_t DesiredIdle(const RuntimePoolSpec& spec, std::int64_t asked_lately);

// One idle replica, as a plan sees it.
struct IdleView {
  std::string name;
  bool starting = false;  // does not answer yet
  bool outdated = false;
  base::MonotonicTime added{};
};

struct PoolPlan {
  std::int32_t create = 0;
  std::vector<std::string> remove{};

  bool operator==(const PoolPlan&) const = default;
};

// Replicas that start count as those that wait: what was ordered is not ordered again. At most `most_starting` start at
// once. Outdated ones go; of the others that are too many, those that start go first, then the youngest.
PoolPlan PlanPool(const std::vector<IdleView>& replicas, std::int32_t desired, std::int32_t most_starting);

}  // namespace mayfly::op
