#include "operator/simulation/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "operator/simulation/chart.h"

namespace mayfly::op {
namespace {

using testing::HasSubstr;

SimResult RunPattern(const std::string& pattern, const std::string& policy_name, ScalingSpec spec = {},
                     SimOptions options = {}) {
  const absl::StatusOr<Workload> workload = MakePattern(pattern, 0.2, 1);
  const auto policy = MakePolicy(policy_name, spec);
  EXPECT_TRUE(workload.ok() && policy.ok());
  return Simulate(*workload, **policy, options);
}

class EachPolicy : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Policies, EachPolicy, testing::ValuesIn(PolicyNames()), [](const auto& policy) {
  std::string name = policy.param;
  std::erase(name, '-');
  return name;
});

TEST_P(EachPolicy, AccountsForEveryRequestAndEndsAtZero) {
  for (const std::string& pattern : PatternNames()) {
    if (pattern == "azure") continue;  // its day may end in the middle of something
    const absl::StatusOr<Workload> workload = MakePattern(pattern, 0.2, 1);
    const SimResult result = RunPattern(pattern, GetParam());
    EXPECT_EQ(result.requests, workload->requests.size()) << pattern;
    EXPECT_GE(result.replica_seconds, result.busy_seconds) << pattern;
    EXPECT_LE(result.most_replicas, 40) << pattern;
    ASSERT_FALSE(result.moments.empty()) << pattern;
    EXPECT_EQ(result.moments.back().desired, 0) << pattern;
  }
}

TEST_P(EachPolicy, NobodyWaitsWhereThereIsAlwaysEnough) {
  const SimResult result = RunPattern("step", GetParam(), {.min_replicas = 20}, {.slots = 10, .startup = 0});
  EXPECT_EQ(result.failed, 0u);
  EXPECT_LT(result.wait_p99, 0.001);
}

TEST_P(EachPolicy, FailsWhatWaitsBeyondItsTimeout) {
  const SimResult result = RunPattern("step", GetParam(), {.max_replicas = 1, .slots = 10},
                                      {.slots = 10, .startup = 1, .timeout = 3});
  EXPECT_GT(result.failed, 0u);
  EXPECT_LE(result.wait_max, 3.001);
  EXPECT_LE(result.most_replicas, 2);
}

TEST(SimulationTest, MayflyWakesAtOnceWhereAPollerLetsTheFirstCallerWait) {
  const SimResult mayfly = RunPattern("onoff", "mayfly", {.scale_to_zero_after = std::chrono::seconds(10)});
  const SimResult poller = RunPattern("onoff", "hpa-keda");
  EXPECT_LE(mayfly.wait_max, 2 * 2.5 + 1.5);
  EXPECT_GT(poller.wait_max, mayfly.wait_max);
}

TEST(SimulationTest, ABurstOfAHundredTimesTheLoadLosesNoRequest) {
  const ScalingSpec spec{.max_replicas = 50, .target_utilization = 100, .slots = 10};
  const SimResult result = RunPattern("burst", "mayfly", spec, {.slots = 10, .startup = 0.05});
  EXPECT_EQ(result.failed, 0u);
  EXPECT_LT(result.wait_max, 2.0);
  // The load needs 20 of 10 slots, and what came before they were there is gone some seconds later.
  EXPECT_LE(result.most_replicas, 30);
}

RC_GTEST_PROP(SimulationProperty, StaysWithinBoundsAndLosesNoRequest, ()) {
  const int least = *rc::gen::inRange(0, 4);
  const int most = least + *rc::gen::inRange(1, 20);
  const int slots = *rc::gen::inRange(1, 30);
  Workload workload{.name = "random", .requests = {}, .length = 300};
  for (const int ms : *rc::gen::container<std::vector<int>>(200, rc::gen::inRange(0, 300'000)))
    workload.requests.push_back({ms / 1e3, static_cast<float>(ms % 977) / 100});
  std::sort(workload.requests.begin(), workload.requests.end(),
            [](const SimRequest& a, const SimRequest& b) { return a.at < b.at; });
  for (const std::string& name : PolicyNames()) {
    const auto policy = MakePolicy(name, {.min_replicas = least, .max_replicas = most, .slots = slots});
    const SimResult result = Simulate(workload, **policy, {.slots = slots, .startup = 1, .timeout = 30});
    RC_ASSERT(result.requests == workload.requests.size());
    for (const SimMoment& moment : result.moments) {
      RC_ASSERT(moment.desired >= least);
      RC_ASSERT(moment.desired <= most);
    }
  }
}

TEST(SimulationTest, GoesBySchedulesFromTheTimeAtWhichItBegins) {
  ScalingSpec spec{.max_replicas = 10};
  spec.schedules.push_back({.name = "office",
                            .from = base::CronSchedule::Parse("0 8 * * MON-FRI").value(),
                            .to = {},
                            .length = absl::Minutes(2),
                            .zone = absl::UTCTimeZone(),
                            .min_replicas = 6});
  const Workload quiet{.name = "quiet", .requests = {{599, 0.1f}}, .length = 600};
  const auto most = [&](base::WallTime start) {
    return Simulate(quiet, **MakePolicy("mayfly", spec, start), {}).most_replicas;
  };
  EXPECT_EQ(most(kMonday + std::chrono::hours(8) - std::chrono::minutes(5)), 6);
  EXPECT_EQ(most(kMonday + std::chrono::hours(9)), 1);
  EXPECT_EQ(most(kMonday + std::chrono::hours(8 + 5 * 24) - std::chrono::minutes(5)), 1) << "a Saturday";
}

TEST(ChartTest, DrawsAPanelForEachPolicy) {
  const absl::StatusOr<Workload> workload = MakePattern("ramp", 0.2, 1);
  const std::string svg =
      DrawSvg(*workload, {RunPattern("ramp", "mayfly"), RunPattern("ramp", "knative")}, 10);
  EXPECT_THAT(svg, HasSubstr("mayfly: "));
  EXPECT_THAT(svg, HasSubstr("knative: "));
  EXPECT_THAT(svg, testing::EndsWith("</svg>\n"));
  EXPECT_THAT(svg, testing::Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace mayfly::op
