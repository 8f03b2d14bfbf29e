#include "operator/metering/meter.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace mayfly::op {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kHello = "default/hello";

// What gateway `name` has counted of kHello: `invocations`, of 10 ms and 2 ms of CPU time each.
v1::GatewayReport Counted(const std::string& name, std::uint64_t invocations,
                          const std::string& instance = "i1", std::uint64_t life = 1,
                          const std::string& function = kHello) {
  v1::GatewayReport report;
  report.set_gateway(name);
  report.set_instance(instance);
  v1::Demand& demand = *report.add_demand();
  demand.set_function(function);
  demand.set_usage_life(life);
  // Over two triggers.
  for (const std::uint64_t part : {invocations / 2, invocations - invocations / 2}) {
    v1::TriggerUsage& usage = *demand.add_usage();
    usage.set_invocations(part);
    usage.set_wall_us(part * 10'000);
    usage.set_cpu_us(part * 2'000);
    usage.set_memory_kb_ms(part * 500'000);
  }
  return report;
}

class MeterTest : public ::testing::Test {
 protected:
  std::int64_t Invocations(const Meter& meter) {
    const auto usage = meter.Of(kHello);
    return usage ? usage->invocations : -1;
  }

  base::FakeClock clock_;
  Meter meter_{clock_};
};

TEST_F(MeterTest, AddsUpWhatGatewaysHaveCounted) {
  meter_.Restore(kHello, std::nullopt, true);
  EXPECT_FALSE(meter_.Of(kHello).has_value());
  meter_.Observe(Counted("a", 3));
  meter_.Observe(Counted("b", 4));
  meter_.Observe(Counted("a", 5));
  const Usage usage = meter_.Of(kHello).value();
  EXPECT_EQ(usage.invocations, 9);
  EXPECT_EQ(usage.wall_milliseconds, 90);
  EXPECT_EQ(usage.cpu_milliseconds, 18);
  EXPECT_EQ(usage.memory_megabyte_seconds, 4);
}

TEST_F(MeterTest, AGatewayThatStartsAnewCountsFromZeroAndTakesNothingAway) {
  meter_.Restore(kHello, std::nullopt, true);
  meter_.Observe(Counted("a", 5));
  meter_.Observe(Counted("a", 2, "i2"));
  EXPECT_EQ(Invocations(meter_), 7);
  meter_.Observe(Counted("a", 3, "i2"));
  EXPECT_EQ(Invocations(meter_), 8);
}

TEST_F(MeterTest, AnOperatorThatStartsAddsWhatWasCountedMeanwhileAndNothingTwice) {
  meter_.Restore(kHello, std::nullopt, true);
  meter_.Observe(Counted("a", 5));
  meter_.Observe(Counted("b", 1));
  const std::optional<Usage> written = meter_.Of(kHello);
  meter_.Observe(Counted("a", 9));  // never written

  Meter next(clock_);
  next.Observe(Counted("a", 12));  // before the function was read
  next.Restore(kHello, written, false);
  EXPECT_EQ(Invocations(next), 13);
  next.Observe(Counted("b", 1));
  next.Observe(Counted("c", 2));
  EXPECT_EQ(Invocations(next), 15);
}

TEST_F(MeterTest, NeverGoesBackWhenAnOlderReportComesLate) {
  meter_.Restore(kHello, std::nullopt, true);
  meter_.Observe(Counted("a", 9));
  meter_.Observe(Counted("a", 7));
  EXPECT_EQ(Invocations(meter_), 9);
  meter_.Observe(Counted("a", 10));
  EXPECT_EQ(Invocations(meter_), 10);
}

TEST_F(MeterTest, AFunctionOfAnEarlierOnesNameOwesNothingOfIt) {
  meter_.Restore(kHello, std::nullopt, true);
  meter_.Observe(Counted("a", 9));
  meter_.Forget(kHello);
  meter_.Observe(Counted("a", 10));  // late
  meter_.Restore(kHello, std::nullopt, true);
  EXPECT_FALSE(meter_.Of(kHello).has_value());
  meter_.Observe(Counted("a", 2, "i1", 2));
  meter_.Observe(Counted("a", 11));  // later still
  EXPECT_EQ(Invocations(meter_), 2);
}

TEST_F(MeterTest, KeepsWhatWasWrittenWhileNoGatewayReports) {
  meter_.Restore(kHello, Usage{.invocations = 7, .wall_milliseconds = 70, .cpu_milliseconds = 14}, false);
  const Usage usage = meter_.Of(kHello).value();
  EXPECT_EQ(usage.invocations, 7);
  EXPECT_EQ(usage.wall_milliseconds, 70);
  EXPECT_FALSE(meter_.WriteAt(kHello).has_value());
}

TEST_F(MeterTest, WritesAFunctionsUsageEveryThirtySecondsAtMostAndOnlyIfItGrew) {
  meter_.Restore(kHello, std::nullopt, true);
  auto due = meter_.Observe(Counted("a", 1));
  ASSERT_EQ(due.size(), 1u);
  EXPECT_LE(due[0].at - clock_.Now(), Meter::kGather);
  EXPECT_TRUE(meter_.Observe(Counted("a", 2)).empty());  // is due already
  clock_.Advance(seconds(2));
  EXPECT_FALSE(meter_.Written(kHello, meter_.Of(kHello)).has_value());
  EXPECT_FALSE(meter_.WriteAt(kHello).has_value());
  EXPECT_TRUE(meter_.Observe(Counted("a", 2)).empty());  // told again
  clock_.Advance(seconds(1));
  due = meter_.Observe(Counted("a", 3));
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].at, clock_.Now() + seconds(29));
}

TEST_F(MeterTest, WhatGrewDuringAWriteIsWrittenLater) {
  meter_.Restore(kHello, std::nullopt, true);
  meter_.Observe(Counted("a", 1));
  const auto being_written = meter_.Of(kHello);
  meter_.Observe(Counted("a", 2));
  const auto again = meter_.Written(kHello, being_written);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(*again, clock_.Now() + Meter::kWriteEvery);
}

TEST_F(MeterTest, SpreadsTheWritesOfTenThousandBusyFunctions) {
  std::map<std::int64_t, int> per_second;
  for (int i = 0; i < 10'000; ++i) {
    const std::string function = "default/f" + std::to_string(i);
    meter_.Restore(function, std::nullopt, true);
    for (const Meter::Due& due : meter_.Observe(Counted("a", 1, "i1", 1, function))) {
      ++per_second[std::chrono::duration_cast<seconds>(due.at.time_since_epoch()).count()];
    }
  }
  // The first second also has those that waited to be gathered.
  for (auto it = std::next(per_second.begin()); it != per_second.end(); ++it) {
    EXPECT_LE(it->second, Meter::kWritesPerSecond * 3) << it->first;
  }
  EXPECT_GE(per_second.size(), 990u);
}

TEST_F(MeterTest, TheMarkOfAGatewayThatSaidGoodbyeGoesAndThatOfOneThatIsCutOffStays) {
  meter_.Restore(kHello, std::nullopt, true);
  meter_.Observe(Counted("a", 1));
  meter_.Observe(Counted("b", 1));
  v1::GatewayReport goodbye = Counted("a", 2);
  goodbye.set_leaving(true);
  meter_.Observe(goodbye);
  v1::GatewayReport forgotten;  // the operator's own word for one that did not come back
  forgotten.set_gateway("b");
  forgotten.set_leaving(true);
  meter_.Observe(forgotten);
  meter_.Written(kHello, meter_.Of(kHello));
  ASSERT_EQ(meter_.Of(kHello)->counted.size(), 1u);
  EXPECT_EQ(meter_.Of(kHello)->counted[0].gateway, "b");
  EXPECT_EQ(Invocations(meter_), 3);
  clock_.Advance(hours(2));
  meter_.Observe(Counted("b", 4));
  EXPECT_EQ(Invocations(meter_), 6);
}

TEST_F(MeterTest, BoundsTheMarksOfGatewaysThatCameAndWent) {
  meter_.Restore(kHello, std::nullopt, true);
  for (int i = 0; i < 200; ++i) {
    v1::GatewayReport report = Counted("gw-" + std::to_string(i), 1);
    meter_.Observe(report);
    report = {};
    report.set_gateway("gw-" + std::to_string(i));
    report.set_leaving(true);
    meter_.Observe(report);
    clock_.Advance(milliseconds(1));
  }
  meter_.Written(kHello, meter_.Of(kHello));
  EXPECT_EQ(meter_.Of(kHello)->counted.size(), Meter::kMostMarks);
  EXPECT_EQ(meter_.Of(kHello)->counted.back().gateway, "gw-199");
  EXPECT_EQ(Invocations(meter_), 200);
}

}  // namespace
}  // namespace mayfly::op
