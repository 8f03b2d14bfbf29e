// A replica whose process is stopped or wedged: its stream stays up and its slots look free, for as long as gRPC's pings
// are patient.
#include <gmock/gmock.h>

#include "gateway/activation/activator_fixture.h"

namespace mayfly::gateway {
namespace {

using ::testing::ElementsAre;
using Behaviour = FakeReplica::Behaviour;
using Seen = FakeReplica::Seen;
using SilentReplicaTest = ActivatorTest;

TEST_F(SilentReplicaTest, GivesNothingMoreToAReplicaThatLetADeadlinePassUntilItSaysSomething) {
  AddReplica(3).Behave(Behaviour::kSilence);
  ASSERT_TRUE(Route({0}).ok());
  // Its slots are free, and its stream is up, for a stopped process.
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.open_streams == 1; }));
  Call call = Begin("silent", "body", true, /*timeout_ms=*/50);
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->outcome(), v1::OUTCOME_TIMED_OUT);
  EXPECT_TRUE(WaitForReport([](const v1::GatewayReport& report) {
    return report.unreachable_replicas_size() == 1 && report.unreachable_replicas(0) == "replica-0";
  }));
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.cancels == 1; }));
  replicas_[0]->Behave(Behaviour::kAnswer);
  Call held = Begin("held");
  EXPECT_TRUE(WaitForDemand(/*busy=*/1, /*held=*/1));
  AddReplica(1);
  ASSERT_TRUE(Route({0, 1}).ok());
  ASSERT_TRUE(held.sink->WaitDone());
  EXPECT_THAT(replicas_[0]->seen().started, ElementsAre("silent"));
  EXPECT_THAT(replicas_[1]->seen().started, ElementsAre("held"));
  ASSERT_TRUE(Route({0}).ok());
  Call again = Begin("again");
  ForgetReports();
  replicas_[0]->SetSlots(3);
  ASSERT_TRUE(again.sink->WaitDone());
  EXPECT_EQ(again.sink->outcome(), v1::OUTCOME_OK);
  EXPECT_TRUE(
      WaitForReport([](const v1::GatewayReport& report) { return report.unreachable_replicas_size() == 0; }));
}

}  // namespace
}  // namespace mayfly::gateway
