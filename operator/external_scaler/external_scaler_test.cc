#include "operator/external_scaler/external_scaler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::op {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr const char* kHello = "default/hello";

class ExternalScalerTest : public testing::Test {
 protected:
  ExternalScalerTest() {
    scaler_.Configure(kHello, {.min_replicas = 0,
                               .max_replicas = 10,
                               .target_utilization = 50,
                               .slots = 4,
                               .scale_to_zero_after = seconds(60),
                               .backlog_per_replica = {{"jobs", 25}}});
  }
  void Report(std::uint32_t busy, std::uint32_t held = 0) {
    v1::GatewayReport report;
    report.set_gateway("gw");
    v1::Demand& demand = *report.add_demand();
    demand.set_function(kHello);
    demand.set_busy(busy);
    demand.set_held(held);
    scaler_.Observe(report);
  }
  void ReportBacklog(v1::TriggerReport::Backlog kind, std::uint64_t backlog,
                     const std::string& problem = "") {
    v1::GatewayReport report;
    report.set_gateway("gw");
    v1::TriggerReport& trigger = *report.add_triggers();
    trigger.set_function(kHello);
    trigger.set_trigger("jobs");
    trigger.set_kind(kind);
    trigger.set_backlog(backlog);
    trigger.set_problem(problem);
    scaler_.Observe(report);
  }
  void Tick(int times, std::uint32_t busy) {
    for (int i = 0; i < times; ++i) {
      clock_.Advance(seconds(1));
      Report(busy);
      scaler_.Tick();
    }
  }

  base::FakeClock clock_;
  base::Metrics metrics_;
  Scaler scaler_{clock_, metrics_, ScalingRules()};
  ExternalScaler external_{scaler_, clock_};
};

TEST_F(ExternalScalerTest, HasAMetricOfWhatRunsAndOneForEachTriggerThatBringsEvents) {
  const auto metrics = external_.Metrics(kHello);
  ASSERT_TRUE(metrics.ok());
  ASSERT_EQ(metrics->size(), 2u);
  EXPECT_EQ((*metrics)[0].name, "concurrency");
  EXPECT_DOUBLE_EQ((*metrics)[0].target, 2);
  EXPECT_EQ((*metrics)[1].name, "backlog-jobs");
  EXPECT_DOUBLE_EQ((*metrics)[1].target, 25);
}

TEST_F(ExternalScalerTest, TellsTheDemandThatDecideSees) {
  Report(0, 3);
  EXPECT_DOUBLE_EQ(external_.Value(kHello, "concurrency").value(), 3) << "there is no history yet";
  Tick(10, 6);
  const Decision latest = scaler_.Latest(kHello).value();
  EXPECT_DOUBLE_EQ(external_.Value(kHello, "concurrency").value(),
                   std::max(latest.inputs.stable_average, latest.inputs.burst_average));
  ReportBacklog(v1::TriggerReport::BACKLOG_VALUE, 40);
  EXPECT_DOUBLE_EQ(external_.Value(kHello, "backlog-jobs").value(), 40);
}

TEST_F(ExternalScalerTest, IsActiveWhileAnythingRunsOrWaitsAndAWhileLonger) {
  Report(0);
  EXPECT_FALSE(external_.IsActive(kHello).value());
  Report(0, 1);
  EXPECT_TRUE(external_.IsActive(kHello).value());
  Tick(1, 1);
  Tick(59, 0);
  EXPECT_TRUE(external_.IsActive(kHello).value());
  Tick(2, 0);
  EXPECT_FALSE(external_.IsActive(kHello).value());
  ReportBacklog(v1::TriggerReport::BACKLOG_VALUE, 1);
  EXPECT_TRUE(external_.IsActive(kHello).value());
}

// KEDA raises the floor of what it holds for active: that must not keep it active.
TEST_F(ExternalScalerTest, IsNotActiveForItsFloorAlone) {
  Report(0);
  scaler_.Configure(kHello, {.min_replicas = 3, .max_replicas = 10, .scale_to_zero_after = seconds(60)});
  Tick(62, 0);
  EXPECT_EQ(scaler_.Latest(kHello)->desired, 3);
  EXPECT_FALSE(external_.IsActive(kHello).value());
}

TEST_F(ExternalScalerTest, WhatIsNotKnownIsAnErrorAndNeverZero) {
  EXPECT_TRUE(absl::IsUnavailable(external_.IsActive(kHello).status())) << "no gateway has spoken";
  EXPECT_TRUE(absl::IsUnavailable(external_.Value(kHello, "concurrency").status()));
  Report(0);
  EXPECT_TRUE(absl::IsUnavailable(external_.Value(kHello, "backlog-jobs").status()))
      << "nobody has told of it";
  ReportBacklog(v1::TriggerReport::BACKLOG_ERROR, 0, "connection refused");
  const absl::Status unknown = external_.Value(kHello, "backlog-jobs").status();
  EXPECT_TRUE(absl::IsUnavailable(unknown));
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("connection refused"));
  EXPECT_TRUE(absl::IsUnavailable(external_.IsActive(kHello).status()));
  Report(2);
  EXPECT_TRUE(external_.IsActive(kHello).value()) << "one that runs is enough";
  clock_.Advance(Scaler::kStaleAfter + seconds(1));
  EXPECT_TRUE(absl::IsUnavailable(external_.Value(kHello, "concurrency").status()))
      << "the gateway is silent";
}

TEST_F(ExternalScalerTest, NamesWhatThereIsNot) {
  EXPECT_TRUE(absl::IsNotFound(external_.IsActive("default/none").status()));
  EXPECT_TRUE(absl::IsNotFound(external_.Metrics("default/none").status()));
  EXPECT_EQ(external_.Value(kHello, "cpu").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace mayfly::op
