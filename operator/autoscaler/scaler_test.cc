#include "operator/autoscaler/scaler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

v1::GatewayReport Report(const std::string& gateway, const std::string& function, unsigned busy,
                         unsigned held, unsigned accepted = 0) {
  v1::GatewayReport report;
  report.set_gateway(gateway);
  v1::Demand& demand = *report.add_demand();
  demand.set_function(function);
  demand.set_busy(busy);
  demand.set_held(held);
  demand.set_accepted_total(accepted);
  return report;
}

class ScalerTest : public testing::Test {
 protected:
  // `seconds` ticks, each after a report of `busy` from gateway "g" (none if negative).
  std::int32_t Run(int seconds, int busy) {
    for (int i = 0; i < seconds; ++i) {
      if (busy >= 0) scaler_.Observe(Report("g", "a/f", static_cast<unsigned>(busy), 0));
      clock_.Advance(1s);
      scaler_.Tick();
    }
    return scaler_.Latest("a/f")->desired;
  }

  base::FakeClock clock_;
  base::Metrics metrics_;
  Scaler scaler_{clock_, metrics_, ScalingRules()};
};

TEST_F(ScalerTest, GoesFromZeroToOneWithTheReportAndNotWithTheTick) {
  EXPECT_EQ(scaler_.Configure("a/f", {}), 0);
  EXPECT_THAT(scaler_.Observe(Report("g", "a/f", 0, 1)), ElementsAre("a/f"));
  EXPECT_EQ(scaler_.Latest("a/f")->desired, 1);
  EXPECT_EQ(scaler_.Activation("a/f"), clock_.Now());
  EXPECT_THAT(scaler_.Observe(Report("g", "a/f", 0, 2)), IsEmpty());
}

// From 02:00 to 02:10 of each day, by a clock that begins at 01:00.
ScalingSpec AtTwo() {
  ScalingSpec spec{.max_replicas = 4, .scale_to_zero_after = 30s};
  spec.schedules.push_back({.name = "early",
                            .from = base::CronSchedule::Parse("0 2 * * *").value(),
                            .to = base::CronSchedule::Parse("10 2 * * *").value(),
                            .length = {},
                            .zone = absl::UTCTimeZone(),
                            .min_replicas = 3});
  return spec;
}

TEST_F(ScalerTest, OpensAndClosesTheWindowsOfAFunctionAtRest) {
  EXPECT_EQ(scaler_.Configure("a/f", AtTwo()), 0);
  scaler_.Observe(Report("g", "a/f", 0, 0));
  clock_.Advance(59min + 58s);
  EXPECT_THAT(scaler_.Tick(), IsEmpty());
  EXPECT_EQ(scaler_.active(), 0u) << "nothing to do before it opens";
  clock_.Advance(2s);
  EXPECT_THAT(scaler_.Tick(), ElementsAre("a/f"));
  EXPECT_EQ(scaler_.Latest("a/f")->desired, 3);
  EXPECT_EQ(scaler_.Latest("a/f")->reason, "Scheduled");
  for (int second = 0; second < 599; ++second) {
    clock_.Advance(1s);
    EXPECT_THAT(scaler_.Tick(), IsEmpty()) << second;
  }
  clock_.Advance(1s);
  EXPECT_THAT(scaler_.Tick(), ElementsAre("a/f"));
  EXPECT_EQ(scaler_.Latest("a/f")->desired, 0) << "nobody has asked for it in ten minutes";
  clock_.Advance(1s);
  scaler_.Tick();
  EXPECT_EQ(scaler_.active(), 0u);
}

TEST_F(ScalerTest, AScheduleThatComesWithinItsWindowHoldsAtOnceAndOneThatGoesDoesNot) {
  EXPECT_EQ(scaler_.Configure("a/f", {.max_replicas = 4, .scale_to_zero_after = 30s}), 0);
  scaler_.Observe(Report("g", "a/f", 0, 0));
  clock_.Advance(1h + 5min);
  EXPECT_EQ(scaler_.Configure("a/f", AtTwo()), 3);
  EXPECT_EQ(scaler_.Configure("a/f", {.max_replicas = 4, .scale_to_zero_after = 30s}), 3)
      << "until the next tick";
  EXPECT_EQ(Run(31, 0), 0);
}

v1::GatewayReport Backlog(const std::string& gateway, std::uint64_t backlog, std::uint64_t unsettled = 0) {
  v1::GatewayReport report;
  report.set_gateway(gateway);
  v1::TriggerReport& trigger = *report.add_triggers();
  trigger.set_function("a/f");
  trigger.set_trigger("orders");
  trigger.set_kind(v1::TriggerReport::BACKLOG_VALUE);
  trigger.set_backlog(backlog);
  trigger.set_unsettled(unsettled);
  return report;
}

TEST_F(ScalerTest, GoesFromZeroToOneWithABacklogAndNotWithTheTick) {
  EXPECT_EQ(scaler_.Configure("a/f", {}), 0);
  EXPECT_THAT(scaler_.Observe(Backlog("g", 0)), IsEmpty());
  EXPECT_THAT(scaler_.Observe(Backlog("g", 1)), ElementsAre("a/f"));
  EXPECT_EQ(scaler_.Latest("a/f")->desired, 1);
}

TEST_F(ScalerTest, AnswersABacklogThatCameBeforeTheManifest) {
  scaler_.Observe(Backlog("g", 1));
  EXPECT_EQ(scaler_.Configure("a/f", {}), 1);
}

TEST_F(ScalerTest, FollowsABacklogUpAndToZeroOnceItIsSettled) {
  scaler_.Configure("a/f", {});
  for (int i = 0; i < 3; ++i) {
    scaler_.Observe(Backlog("g", 100));
    clock_.Advance(1s);
    scaler_.Tick();
  }
  EXPECT_EQ(scaler_.Latest("a/f")->desired, 10);
  EXPECT_EQ(scaler_.Latest("a/f")->inputs.trigger, "orders");
  // All but what a handler has: that one is not settled yet.
  for (int i = 0; i < 120; ++i) {
    scaler_.Observe(Backlog("g", 0, 1));
    clock_.Advance(1s);
    scaler_.Tick();
  }
  EXPECT_EQ(scaler_.Latest("a/f")->desired, 1);
  scaler_.Observe(Backlog("g", 0));
  EXPECT_EQ(Run(59, -1), 1);
  EXPECT_EQ(Run(2, -1), 0);
  EXPECT_EQ(scaler_.active(), 0u);
}

TEST_F(ScalerTest, HoldsWhileABacklogIsNotToldAnyMore) {
  scaler_.Configure("a/f", {});
  for (int i = 0; i < 2; ++i) {
    scaler_.Observe(Backlog("g", 50));
    clock_.Advance(1s);
    scaler_.Tick();
  }
  EXPECT_EQ(scaler_.Latest("a/f")->desired, 5);
  EXPECT_EQ(Run(300, -1), 5) << "silent, and it had said that some wait";
  v1::GatewayReport unknown = Backlog("g", 0);
  unknown.mutable_triggers(0)->set_kind(v1::TriggerReport::BACKLOG_ERROR);
  scaler_.Observe(unknown);
  EXPECT_EQ(Run(300, -1), 5);
  EXPECT_EQ(scaler_.Latest("a/f")->reason, "Unknown");
}

TEST_F(ScalerTest, OfOneTriggerAtSeveralGatewaysTheLargestBacklogCounts) {
  scaler_.Configure("a/f", {});
  for (int i = 0; i < 2; ++i) {
    scaler_.Observe(Backlog("g1", 30));
    scaler_.Observe(Backlog("g2", 20));
    clock_.Advance(1s);
    scaler_.Tick();
  }
  EXPECT_EQ(scaler_.Latest("a/f")->desired, 3);
}

TEST_F(ScalerTest, AnswersDemandThatCameBeforeTheManifest) {
  scaler_.Observe(Report("g", "a/f", 0, 1));
  EXPECT_EQ(scaler_.Configure("a/f", {}), 1);
}

TEST_F(ScalerTest, SumsTheDemandOfAllGateways) {
  scaler_.Configure("a/f", {});
  scaler_.Observe(Report("g1", "a/f", 10, 20));
  scaler_.Observe(Report("g2", "a/f", 10, 30));
  clock_.Advance(1s);
  EXPECT_THAT(scaler_.Tick(), ElementsAre("a/f"));
  EXPECT_EQ(scaler_.Latest("a/f")->desired, 10) << scaler_.Latest("a/f")->message;
}

TEST_F(ScalerTest, MeasuresTheMeanOfATickAndNotItsEnds) {
  scaler_.Configure("a/f", {});
  scaler_.Observe(Report("g", "a/f", 40, 0));
  clock_.Advance(500ms);
  scaler_.Observe(Report("g", "a/f", 0, 0));
  clock_.Advance(500ms);
  scaler_.Tick();
  EXPECT_DOUBLE_EQ(scaler_.Latest("a/f")->inputs.burst_average, 20);
}

TEST_F(ScalerTest, SpreadsDecisionsOverTheTickAndDecidesEachFunctionOnce) {
  constexpr std::size_t kFunctions = 1'000;
  for (std::size_t i = 0; i < kFunctions; ++i) {
    const std::string function = absl::StrCat("a/f", i);
    scaler_.Configure(function, {});
    scaler_.Observe(Report("g", function, 10, 20));
  }
  clock_.Advance(1s);
  std::set<std::string> decided;
  for (std::size_t slice = 0; slice < Scaler::kSlices; ++slice) {
    const std::vector<std::string> changed = scaler_.Tick(slice);
    EXPECT_LT(changed.size(), 2 * kFunctions / Scaler::kSlices) << "too many at once in slice " << slice;
    for (const std::string& function : changed) EXPECT_TRUE(decided.insert(function).second) << function;
  }
  EXPECT_EQ(decided.size(), kFunctions);
}

TEST_F(ScalerTest, CostsNothingAtRest) {
  scaler_.Configure("a/f", {.scale_to_zero_after = 2s});
  EXPECT_EQ(scaler_.active(), 0u);
  EXPECT_EQ(Run(3, 1), 1);
  EXPECT_EQ(scaler_.active(), 1u);
  EXPECT_EQ(Run(3, 0), 0);
  EXPECT_EQ(scaler_.active(), 0u);
}

TEST_F(ScalerTest, TakesSilenceAfterZeroForZero) {
  scaler_.Configure("a/f", {.scale_to_zero_after = 30s});
  Run(3, 1);
  Run(1, 0);
  EXPECT_EQ(Run(30, -1), 0);
}

TEST_F(ScalerTest, HoldsWhenAGatewayThatHadDemandFallsSilent) {
  scaler_.Configure("a/f", {.scale_to_zero_after = 2s});
  EXPECT_EQ(Run(3, 1), 1);
  EXPECT_EQ(Run(600, -1), 1);
  EXPECT_EQ(scaler_.Latest("a/f")->reason, "Unknown");
}

TEST_F(ScalerTest, CountsShortRequestsThatNoReportSawRunning) {
  scaler_.Configure("a/f", {.scale_to_zero_after = 10s});
  Run(1, 1);
  for (unsigned i = 0; i < 60; ++i) {
    scaler_.Observe(Report("g", "a/f", 0, 0, i));
    clock_.Advance(1s);
    scaler_.Tick();
  }
  EXPECT_EQ(scaler_.Latest("a/f")->desired, 1) << "requests were taken all the time";
}

TEST_F(ScalerTest, KeepsAdoptedReplicasUntilItKnowsBetter) {
  scaler_.Configure("a/f", {.scale_to_zero_after = 5s});
  scaler_.Adopt("a/f", 3);
  EXPECT_EQ(scaler_.Latest("a/f")->desired, 3);
  EXPECT_EQ(Run(60, -1), 3) << "no gateway was heard of yet";
  scaler_.Observe(Report("g", "a/other", 1, 0));
  EXPECT_EQ(Run(6, -1), 0);
}

TEST_F(ScalerTest, KeepsAdoptedReplicasThroughATickThatComesBeforeTheirManifest) {
  scaler_.Observe(Report("g", "a/other", 0, 0));
  scaler_.Adopt("a/f", 3);
  clock_.Advance(10ms);
  scaler_.Tick();
  EXPECT_EQ(scaler_.Configure("a/f", {.scale_to_zero_after = 5s}), 3);
}

TEST_F(ScalerTest, KeepsTheLastDecisionsThatDiffered) {
  scaler_.Configure("a/f", {.scale_to_zero_after = 1s});
  for (int i = 0; i < 40; ++i) {
    Run(2, 1);
    Run(3, 0);
  }
  const auto recent = scaler_.Recent("a/f");
  ASSERT_EQ(recent.size(), Scaler::kDecisionsKept);
  EXPECT_EQ(recent.back().decision.reason, "Idle");
  EXPECT_FALSE(recent.back().decision.message.empty());
}

TEST_F(ScalerTest, ForgetsAFunctionAndItsLateReports) {
  scaler_.Configure("a/f", {});
  scaler_.Observe(Report("g", "a/f", 1, 0));
  scaler_.Forget("a/f");
  EXPECT_THAT(scaler_.Observe(Report("g", "a/f", 0, 0)), IsEmpty());
  EXPECT_EQ(scaler_.Latest("a/f"), std::nullopt);
  EXPECT_EQ(scaler_.active(), 0u);
}

}  // namespace
}  // namespace mayfly::op
