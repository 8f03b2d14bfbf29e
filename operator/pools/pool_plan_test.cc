#include "operator/pools/pool_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

constexpr base::MonotonicTime kStart{1000s};

IdleView Ready(const std::string& name, int age = 0) {
  return {.name = name, .starting = false, .outdated = false, .added = kStart - std::chrono::seconds(age)};
}
IdleView Starting(const std::string& name) {
  return {.name = name, .starting = true, .outdated = false, .added = kStart};
}
IdleView Outdated(const std::string& name) {
  return {.name = name, .starting = false, .outdated = true, .added = kStart};
}

struct Row {
  const char* what;
  std::vector<IdleView> replicas;
  std::int32_t desired;
  PoolPlan plan;
};

TEST(PoolPlan, IsAFunctionOfWhatThereIs) {
  const Row rows[] = {
      {"an empty pool is filled", {}, 2, {.create = 2}},
      {"those that start count", {Starting("a")}, 2, {.create = 1}},
      {"a full pool rests", {Ready("a"), Ready("b")}, 2, {}},
      {"at most four start at once", {Starting("a"), Starting("b")}, 100, {.create = 2}},
      {"while four start, none is added",
       {Starting("a"), Starting("b"), Starting("c"), Starting("d")},
       9,
       {}},
      {"what starts goes first",
       {Ready("a", 9), Starting("b"), Ready("c", 5)},
       2,
       {.create = 0, .remove = {"b"}}},
      {"then the youngest",
       {Ready("a", 9), Ready("b", 5), Ready("c", 7)},
       1,
       {.create = 0, .remove = {"b", "c"}}},
      {"outdated ones go and are replaced", {Outdated("a"), Ready("b")}, 2, {.create = 1, .remove = {"a"}}},
      {"outdated ones go from an empty pool", {Outdated("a")}, 0, {.create = 0, .remove = {"a"}}},
  };
  for (const Row& row : rows) EXPECT_EQ(PlanPool(row.replicas, row.desired, 4), row.plan) << row.what;
}

TEST(PoolPlan, WantsWhatWasAskedLatelyWithinItsBounds) {
  RuntimePoolSpec spec;
  spec.size = 2;
  spec.max_size = 10;
  EXPECT_EQ(DesiredIdle(spec, 0), 2);
  EXPECT_EQ(DesiredIdle(spec, 7), 7);
  EXPECT_EQ(DesiredIdle(spec, 1'000'000), 10);
  spec.max_size = 2;
  EXPECT_EQ(DesiredIdle(spec, 7), 2);
}

TEST(RecentDemand, ForgetsWhatIsOlderThanItsWindow) {
  RecentDemand demand;
  EXPECT_FALSE(demand.FallsAt());
  demand.Add(3, kStart);
  demand.Add(2, kStart + 100ms);
  demand.Add(4, kStart + 30s);
  EXPECT_EQ(demand.Sum(kStart + 59s), 9);
  EXPECT_EQ(demand.FallsAt(), kStart + 60s);
  EXPECT_EQ(demand.Sum(kStart + 60s), 4);
  demand.Add(0, kStart + 61s);
  EXPECT_EQ(demand.FallsAt(), kStart + 90s);
  EXPECT_EQ(demand.Sum(kStart + 90s), 0);
}

}  // namespace
}  // namespace mayfly::op
