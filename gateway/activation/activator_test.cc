#include "gateway/activation/activator.h"

#include <gmock/gmock.h>

#include <thread>

#include "gateway/activation/activator_fixture.h"

namespace mayfly::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Behaviour = FakeReplica::Behaviour;
using Seen = FakeReplica::Seen;

TEST_F(ActivatorTest, TakesAnInvocationToAReplicaAndItsAnswerBack) {
  AddReplica(1);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("one", "hello");
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(call.sink->status(), 200u);
  EXPECT_EQ(call.sink->body(), "hello");
}

// What the last report that tells it says of the trigger.
v1::TriggerUsage UsageIn(const std::vector<v1::GatewayReport>& reports, const std::string& trigger) {
  v1::TriggerUsage last;
  for (const auto& report : reports) {
    for (const v1::Demand& demand : report.demand()) {
      for (const v1::TriggerUsage& usage : demand.usage()) {
        if (usage.trigger() == trigger) last = usage;
      }
    }
  }
  return last;
}

TEST_F(ActivatorTest, ReportsWhatInvocationsCostByTheirTrigger) {
  AddReplica(1);
  ASSERT_TRUE(Route({0}).ok());
  for (const char* trigger : {"http", "http", "hook"}) {
    Call call = Begin("one", "hello", true, 10'000, trigger);
    ASSERT_TRUE(call.sink->WaitDone());
  }
  EXPECT_TRUE(WaitForDemand(0, 0));
  EXPECT_TRUE(WaitForReport([&](const v1::GatewayReport& report) {
    return UsageIn({report}, "http").invocations() == 2 && UsageIn({report}, "hook").invocations() == 1 &&
           !report.instance().empty() && report.demand(0).usage_life() != 0;
  }));
  EXPECT_EQ(UsageIn(reports(), "http").wall_us(), 2 * FakeReplica::kWallUs);
  EXPECT_EQ(UsageIn(reports(), "http").cpu_us(), 2 * FakeReplica::kCpuUs);
  EXPECT_THAT(metrics_.Text(),
              HasSubstr("mayfly_usage_invocations_total{function=\"test/echo\",trigger=\"http\"} 2"));
}

TEST_F(ActivatorTest, CountsAnInvocationWhoseCallerHasGoneAndNoneThatDidNotStart) {
  FakeReplica& replica = AddReplica(1);
  replica.Behave(Behaviour::kWait);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("gone", "hello", true, 10'000, "http");
  ASSERT_TRUE(replica.WaitFor([](const Seen& seen) { return seen.started.size() == 1; }));
  call.handle.reset();  // the fake says that it was cancelled
  EXPECT_TRUE(WaitForReport(
      [](const v1::GatewayReport& report) { return UsageIn({report}, "http").invocations() == 1; }));
  replica.Behave(Behaviour::kRefuse);
  Call refused = Begin("refused", "body", true, /*timeout_ms=*/50, "http");
  ASSERT_TRUE(refused.sink->WaitDone());
  EXPECT_TRUE(WaitForDemand(0, 0));
  EXPECT_EQ(UsageIn(reports(), "http").invocations(), 1u);
}

TEST_F(ActivatorTest, ReportsWhatTheLastInvocationsCostBeforeItStops) {
  AddReplica(1);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("last", "hello", true, 10'000, "http");
  ASSERT_TRUE(call.sink->WaitDone());
  activator_->Stop(clock_.Now());
  EXPECT_EQ(UsageIn(reports(), "http").invocations(), 1u);
}

TEST_F(ActivatorTest, HoldsWhatComesBeforeTheFirstReplica) {
  ASSERT_TRUE(Route({}).ok());
  Call call = Begin("early");
  EXPECT_TRUE(WaitForDemand(0, 1));
  AddReplica(1);
  ASSERT_TRUE(Route({0}).ok());
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->outcome(), v1::OUTCOME_OK);
  EXPECT_THAT(metrics_.Text(), HasSubstr("mayfly_cold_start_wait_seconds_count{function=\"test/echo\"} 1"));
}

TEST_F(ActivatorTest, ReachesAReplicaWhoseSocketAppearsLater) {
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("early");
  AddReplica(1);
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->outcome(), v1::OUTCOME_OK);
}

TEST_F(ActivatorTest, TellsDemandOnTheCallersThreadWhenItLeavesZero) {
  ASSERT_TRUE(Route({}).ok());
  ForgetReports();
  Call call = Begin("first");
  // No waiting: the report was made before Begin() returned.
  bool told = false;
  for (const auto& report : reports()) {
    for (const v1::Demand& demand : report.demand()) told = told || demand.held() == 1;
  }
  EXPECT_TRUE(told);
}

TEST_F(ActivatorTest, TellsThatDemandIsZeroAgain) {
  AddReplica(1).Behave(Behaviour::kWait);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("one");
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.running == 1; }));
  EXPECT_TRUE(WaitForDemand(1, 0));
  ForgetReports();
  replicas_[0]->Release();
  EXPECT_TRUE(WaitForReport([](const v1::GatewayReport& report) {
    return report.demand_size() == 1 && report.demand(0).busy() == 0 && report.demand(0).held() == 0 &&
           report.demand(0).accepted_total() == 1;
  }));
}

TEST_F(ActivatorTest, TellsDemandAgainEverySecondWhileItIsNotZero) {
  ASSERT_TRUE(Route({}).ok());
  Call call = Begin("one");
  ASSERT_TRUE(WaitForDemand(0, 1));
  for (int i = 0; i < 2; ++i) {
    ForgetReports();
    EXPECT_TRUE(WaitForDemand(0, 1));
  }
}

TEST_F(ActivatorTest, GivesAReplicaNoMoreThanItsSlots) {
  AddReplica(3).Behave(Behaviour::kWait);
  ASSERT_TRUE(Route({0}).ok());
  std::vector<Call> calls;
  for (int i = 0; i < 10; ++i) calls.push_back(Begin(std::to_string(i)));
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.running == 3; }));
  EXPECT_TRUE(WaitForDemand(3, 7));
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(replicas_[0]->WaitFor([&](const Seen& seen) {
      return seen.started.size() >= static_cast<std::size_t>(std::min(i + 3, 10));
    }));
    replicas_[0]->Release();
  }
  for (Call& call : calls) ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(replicas_[0]->seen().most_running, 3u);
}

TEST_F(ActivatorTest, ReleasesWhatItHoldsInOrder) {
  AddReplica(1);
  ASSERT_TRUE(Route({}).ok());
  std::vector<Call> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(Begin(std::to_string(i)));
  ASSERT_TRUE(Route({0}).ok());
  for (Call& call : calls) ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_THAT(replicas_[0]->seen().started, ElementsAre("0", "1", "2", "3", "4"));
}

TEST_F(ActivatorTest, FollowsTheCapacityThatAReplicaDeclares) {
  AddReplica(1).Behave(Behaviour::kWait);
  ASSERT_TRUE(Route({0}).ok());
  std::vector<Call> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(Begin(std::to_string(i)));
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.running == 1; }));
  replicas_[0]->SetSlots(4);
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.running == 4; }));
  replicas_[0]->Release(4);
  for (Call& call : calls) ASSERT_TRUE(call.sink->WaitDone());
}

TEST_F(ActivatorTest, ConnectsToAComingReplicaAndSendsOnceItHasTheRevision) {
  FakeReplica& replica = AddReplica(0);
  ASSERT_TRUE(RouteToComing(replica).ok());
  Call call = Begin("one");
  ASSERT_TRUE(replica.WaitFor([](const Seen& seen) { return seen.streams == 1; }));
  replica.SetRevision("r1");
  replica.SetSlots(1);
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(replica.seen().streams, 1u);
}

TEST_F(ActivatorTest, ConnectsToAReplicaThatStandsByAndTakesThatStreamForItsFunction) {
  FakeReplica& replica = AddReplica(0);
  ASSERT_TRUE(StandBy({&replica}).ok());
  ASSERT_TRUE(replica.WaitFor([](const Seen& seen) { return seen.streams == 1; }));
  ASSERT_TRUE(RouteToComing(replica).ok());
  Call call = Begin("one", "hello");
  replica.SetRevision("r1");
  replica.SetSlots(1);
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->body(), "hello");
  ASSERT_TRUE(StandBy({&replica}).ok()) << "it stays among them until it is claimed";
  ASSERT_TRUE(StandBy({}).ok());
  Call second = Begin("two");
  ASSERT_TRUE(second.sink->WaitDone());
  EXPECT_EQ(second.sink->outcome(), v1::OUTCOME_OK) << "what was taken does not go with the rest";
  EXPECT_EQ(replica.seen().streams, 1u);
}

TEST_F(ActivatorTest, HearsOfSlotsThatAReplicaWhichStandsByHadBefore) {
  FakeReplica& replica = AddReplica(3);
  ASSERT_TRUE(StandBy({&replica}).ok());
  ASSERT_TRUE(replica.WaitFor([](const Seen& seen) { return seen.streams == 1; }));
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("one");
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(replica.seen().streams, 1u);
}

TEST_F(ActivatorTest, KeepsTryingAReplicaThatStandsByAndIsNotThereYet) {
  FakeReplica& replica = AddReplica(1);
  replica.Kill();
  ASSERT_TRUE(StandBy({&replica}).ok());
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("one");
  replica.Start();
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->outcome(), v1::OUTCOME_OK);
}

TEST_F(ActivatorTest, ClosesStreamsToWhatStandsByNoMore) {
  FakeReplica& replica = AddReplica(0);
  ASSERT_TRUE(StandBy({&replica}).ok());
  ASSERT_TRUE(replica.WaitFor([](const Seen& seen) { return seen.open_streams == 1; }));
  ASSERT_TRUE(StandBy({}).ok());
  EXPECT_TRUE(replica.WaitFor([](const Seen& seen) { return seen.open_streams == 0; }));
  ASSERT_TRUE(StandBy({&replica}).ok());
  ASSERT_TRUE(replica.WaitFor([](const Seen& seen) { return seen.open_streams == 1; }));
  activator_->Stop(clock_.Now());
  EXPECT_TRUE(replica.WaitFor([](const Seen& seen) { return seen.open_streams == 0; }));
}

TEST_F(ActivatorTest, SendsNothingToAComingReplicaThatGotAnothersRevision) {
  FakeReplica& replica = AddReplica(0);
  AddReplica(1);
  ASSERT_TRUE(RouteToComing(replica).ok());
  Call call = Begin("one");
  ASSERT_TRUE(replica.WaitFor([](const Seen& seen) { return seen.streams == 1; }));
  replica.SetRevision("of another function");
  replica.SetSlots(5);
  ASSERT_TRUE(Route({1}).ok());
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_TRUE(replica.seen().started.empty());
}

TEST_F(ActivatorTest, RefusesWhatTheHoldQueueHasNoRoomFor) {
  route_.set_hold_limit(2);
  ASSERT_TRUE(Route({}).ok());
  Call one = Begin("one");
  Call two = Begin("two");
  Call three = Begin("three");
  ASSERT_TRUE(three.sink->WaitDone());
  EXPECT_EQ(three.sink->reason(), kReasonHoldQueueFull);
  EXPECT_FALSE(one.sink->done());
  two.handle.reset();
  Call four = Begin("four");
  EXPECT_FALSE(four.sink->done());
}

TEST_F(ActivatorTest, EndsWhatItHeldPastItsDeadline) {
  ASSERT_TRUE(Route({}).ok());
  const auto before = clock_.Now();
  Call call = Begin("late", "body", true, /*timeout_ms=*/50);
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->reason(), kReasonNotReadyInTime);
  EXPECT_GE(clock_.Now() - before, std::chrono::milliseconds(50));
}

TEST_F(ActivatorTest, TellsWhoWaitedInVainWhatTheReplicaIsDoing) {
  route_.set_starting("replica r1 loads its module and runs create()");
  ASSERT_TRUE(Route({}).ok());
  Call call = Begin("late", "body", true, /*timeout_ms=*/50);
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_THAT(call.sink->message(), HasSubstr("; replica r1 loads its module and runs create()"));
}

TEST_F(ActivatorTest, EndsWhatASilentReplicaDoesNotAndKeepsTheSlotTaken) {
  AddReplica(1).Behave(Behaviour::kSilence);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("silent", "body", true, /*timeout_ms=*/50);
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->outcome(), v1::OUTCOME_TIMED_OUT);
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.cancels == 1; }));
  // The replica has not said that the slot is free, so nothing else goes there.
  Call next = Begin("next", "body", true, /*timeout_ms=*/50);
  ASSERT_TRUE(next.sink->WaitDone());
  EXPECT_EQ(next.sink->reason(), kReasonNotReadyInTime);
  EXPECT_THAT(replicas_[0]->seen().started, ElementsAre("silent"));
}

TEST_F(ActivatorTest, SendsElsewhereWhatAReplicaDidNotStart) {
  AddReplica(1).Behave(Behaviour::kRefuse);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("refused");
  AddReplica(1);
  ASSERT_TRUE(Route({0, 1}).ok());
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(call.sink->body(), "body");
  EXPECT_THAT(replicas_[1]->seen().started, ElementsAre("refused"));
}

TEST_F(ActivatorTest, GivesUpOnWhatNoReplicaStarts) {
  AddReplica(1).Behave(Behaviour::kRefuse);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("refused");
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->reason(), kReasonUnavailable);
  EXPECT_THAT(call.sink->message(), HasSubstr("the fake refuses"));
}

// Whatever ends a request that waited because replicas refuse, its caller hears why they do.
TEST_F(ActivatorTest, TellsWhyReplicasRefusedToWhatWaitedMeanwhile) {
  AddReplica(1).Behave(Behaviour::kRefuse);
  ASSERT_TRUE(Route({0}).ok());
  Call first = Begin("first");
  ASSERT_TRUE(first.sink->WaitDone());
  Call second = Begin("second", "body", true, /*timeout_ms=*/1);
  ASSERT_TRUE(second.sink->WaitDone());
  EXPECT_THAT(second.sink->message(), HasSubstr("the fake refuses"));
}

TEST_F(ActivatorTest, DoesNotSendAgainWhatMayHaveStartedOnALostReplica) {
  AddReplica(1).Behave(Behaviour::kWait);
  AddReplica(1);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("lost");
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.running == 1; }));
  ASSERT_TRUE(Route({0, 1}).ok());
  replicas_[0]->Kill();
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->reason(), kReasonReplicaLost);
  EXPECT_TRUE(replicas_[1]->seen().started.empty());
}

TEST_F(ActivatorTest, ComesBackToAReplicaThatSaidWhatIsNoMessage) {
  AddReplica(1).Behave(Behaviour::kGarble);
  ASSERT_TRUE(Route({0}).ok());
  Call garbled = Begin("garbled");
  ASSERT_TRUE(garbled.sink->WaitDone());
  EXPECT_EQ(garbled.sink->reason(), kReasonReplicaLost);
  EXPECT_THAT(garbled.sink->message(), HasSubstr("a message that is none"));
  replicas_[0]->Behave(Behaviour::kAnswer);
  Call next = Begin("next");
  ASSERT_TRUE(next.sink->WaitDone());
  EXPECT_EQ(next.sink->outcome(), v1::OUTCOME_OK);
}

TEST_F(ActivatorTest, SendsElsewhereWhatAReplicaThatEndedInOrderHadNotTaken) {
  AddReplica(1);
  ASSERT_TRUE(Route({0}).ok());
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.streams == 1; }));
  replicas_[0]->EndAtNextMessage();
  Call call = Begin("untaken");
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->outcome(), v1::OUTCOME_OK);
}

TEST_F(ActivatorTest, ComesBackToAReplicaThatWasStartedAgain) {
  AddReplica(1);
  ASSERT_TRUE(Route({0}).ok());
  Call first = Begin("first");
  ASSERT_TRUE(first.sink->WaitDone());
  replicas_[0]->Kill();
  ASSERT_TRUE(WaitForReport([](const v1::GatewayReport& report) {
    return report.unreachable_replicas_size() == 1 && report.unreachable_replicas(0) == "replica-0";
  }));
  Call second = Begin("second");
  replicas_[0]->Start();
  ASSERT_TRUE(second.sink->WaitDone());
  EXPECT_EQ(second.sink->outcome(), v1::OUTCOME_OK);
  ForgetReports();
  EXPECT_TRUE(
      WaitForReport([](const v1::GatewayReport& report) { return report.unreachable_replicas_size() == 0; }));
}

TEST_F(ActivatorTest, SendsNothingNewToAnEndpointThatLeftTheRouteAndLetsItFinish) {
  AddReplica(2).Behave(Behaviour::kWait);
  AddReplica(2);
  ASSERT_TRUE(Route({0}).ok());
  Call running = Begin("running");
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.running == 1; }));
  ASSERT_TRUE(Route({1}).ok());
  Call next = Begin("next");
  ASSERT_TRUE(next.sink->WaitDone());
  EXPECT_THAT(replicas_[0]->seen().started, ElementsAre("running"));
  replicas_[0]->Release();
  ASSERT_TRUE(running.sink->WaitDone());
  EXPECT_EQ(running.sink->outcome(), v1::OUTCOME_OK);
}

TEST_F(ActivatorTest, ConfirmsTheRoutesInForce) {
  ASSERT_TRUE(Route({}).ok());
  EXPECT_TRUE(WaitForReport([&](const v1::GatewayReport& report) {
    return report.confirmed_version() == version_ && report.gateway() == "gateway-0";
  }));
}

TEST_F(ActivatorTest, RefusesRoutesOfAnOlderEpochOrVersion) {
  v1::RouteUpdate update;
  update.set_epoch(5);
  update.set_version(10);
  update.set_snapshot(true);
  ASSERT_TRUE(activator_->Apply(update).ok());
  update.set_snapshot(false);
  EXPECT_EQ(activator_->Apply(update).code(), absl::StatusCode::kFailedPrecondition);
  update.set_epoch(4);
  update.set_version(99);
  update.set_snapshot(true);
  EXPECT_EQ(activator_->Apply(update).code(), absl::StatusCode::kFailedPrecondition);
  update.set_epoch(6);
  update.set_version(1);
  EXPECT_TRUE(activator_->Apply(update).ok());
}

TEST_F(ActivatorTest, EndsWhatIsHeldWhenTheFunctionIsDeleted) {
  ASSERT_TRUE(Route({}).ok());
  Call call = Begin("orphan");
  ASSERT_TRUE(RemoveFunction().ok());
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->reason(), kReasonFunctionGone);
  Call late = Begin("late");
  EXPECT_EQ(late.sink->reason(), kReasonFunctionGone);
}

TEST_F(ActivatorTest, ForgetsFunctionsThatASnapshotDoesNotName) {
  ASSERT_TRUE(Route({}).ok());
  Call call = Begin("orphan");
  v1::RouteUpdate update;
  update.set_version(++version_);
  update.set_snapshot(true);
  ASSERT_TRUE(activator_->Apply(update).ok());
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->reason(), kReasonFunctionGone);
}

TEST_F(ActivatorTest, RefusesAtOnceWhatCannotServeWithItsProblem) {
  ASSERT_TRUE(Route({}).ok());
  Call held = Begin("held");
  route_.mutable_unavailable()->set_reason("ArtifactRefused");
  route_.mutable_unavailable()->set_message("libfoo.so.1 is missing");
  ASSERT_TRUE(Apply().ok());
  ASSERT_TRUE(held.sink->WaitDone());
  EXPECT_EQ(held.sink->reason(), "ArtifactRefused");
  Call next = Begin("next");
  ASSERT_TRUE(next.sink->WaitDone());
  EXPECT_EQ(next.sink->message(), "libfoo.so.1 is missing");
}

TEST_F(ActivatorTest, StreamsARequestChunkByChunk) {
  AddReplica(1);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("stream", "one ", /*complete=*/false);
  ASSERT_TRUE(call.sink->WaitWritable(1));
  call.handle->Write("two ", false);
  ASSERT_TRUE(call.sink->WaitWritable(2));
  call.handle->Write("three", true);
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->body(), "one two three");
  EXPECT_EQ(call.sink->writable(), 2);
}

TEST_F(ActivatorTest, CarriesALargeBodyInPieces) {
  AddReplica(2);
  ASSERT_TRUE(Route({0}).ok());
  const std::string large(20 << 20, 'x');
  Call call = Begin("large", large);
  Call small = Begin("small", "s");
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.ends == 2; }));
  EXPECT_EQ(replicas_[0]->seen().body.size(), large.size() + 1);
}

TEST_F(ActivatorTest, SaysThatAStreamedBodyCannotBeSentAgain) {
  AddReplica(1).Behave(Behaviour::kWait);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("stream", "one ", /*complete=*/false);
  ASSERT_TRUE(call.sink->WaitWritable(1));
  call.handle->Write("two ", false);
  ASSERT_TRUE(call.sink->WaitWritable(2));
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.body == "one two "; }));
  v1::ResponsePart refusal;
  refusal.mutable_result()->set_outcome(v1::OUTCOME_NOT_STARTED);
  replicas_[0]->Send("stream", refusal);
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->reason(), kReasonUnavailable);
}

TEST_F(ActivatorTest, PassesAStreamedAnswerAndItsWindowOn) {
  AddReplica(1).Behave(Behaviour::kWait);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("stream");
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.ends == 1; }));
  EXPECT_EQ(replicas_[0]->seen().window, 1u << 20);
  v1::ResponsePart part;
  part.mutable_head()->set_status(206);
  part.set_data("a");
  replicas_[0]->Send("stream", part);
  ASSERT_TRUE(call.sink->WaitParts(1));
  EXPECT_EQ(call.sink->status(), 206u);
  call.handle->Grant(1000);
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.window == (1u << 20) + 1000; }));
  v1::ResponsePart last;
  last.set_data("b");
  last.mutable_result()->set_outcome(v1::OUTCOME_OK);
  replicas_[0]->Send("stream", last);
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->body(), "ab");
}

TEST_F(ActivatorTest, TellsTheReplicaWhenTheCallerIsGoneAndReusesItsSlot) {
  AddReplica(1).Behave(Behaviour::kWait);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("gone");
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.running == 1; }));
  call.handle.reset();
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.cancels == 1 && seen.running == 0; }));
  replicas_[0]->Behave(Behaviour::kAnswer);
  Call next = Begin("next");
  ASSERT_TRUE(next.sink->WaitDone());
  EXPECT_EQ(next.sink->outcome(), v1::OUTCOME_OK);
  EXPECT_FALSE(call.sink->done());
}

TEST_F(ActivatorTest, GivesTheResultOfACancelledInvocation) {
  AddReplica(1).Behave(Behaviour::kWait);
  ASSERT_TRUE(Route({0}).ok());
  Call running = Begin("running");
  Call held = Begin("held");
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.running == 1; }));
  held.handle->Cancel();
  ASSERT_TRUE(held.sink->WaitDone());
  EXPECT_EQ(held.sink->outcome(), v1::OUTCOME_CANCELLED);
  running.handle->Cancel();
  ASSERT_TRUE(running.sink->WaitDone());
  EXPECT_EQ(running.sink->outcome(), v1::OUTCOME_CANCELLED);
}

TEST_F(ActivatorTest, BalancesBetweenReplicas) {
  for (int i = 0; i < 2; ++i) AddReplica(10).Behave(Behaviour::kWait);
  ASSERT_TRUE(Route({0, 1}).ok());
  for (const auto& replica : replicas_) {
    ASSERT_TRUE(replica->WaitFor([](const Seen& seen) { return seen.streams == 1; }));
  }
  std::vector<Call> calls;
  for (int i = 0; i < 20; ++i) calls.push_back(Begin(std::to_string(i)));
  for (const auto& replica : replicas_) {
    EXPECT_TRUE(replica->WaitFor([](const Seen& seen) { return seen.running == 10; }));
  }
}

TEST_F(ActivatorTest, WaitsForWhatRunsBeforeItStops) {
  AddReplica(1).Behave(Behaviour::kWait);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("running");
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.running == 1; }));
  std::jthread stopper(
      [&] { activator_->Stop(std::chrono::steady_clock::now() + std::chrono::seconds(10)); });
  Call late;
  do {
    late = Begin("late", "body", true, 10'000);
  } while (!late.sink->done());
  EXPECT_EQ(late.sink->reason(), kReasonShuttingDown);
  replicas_[0]->Release();
  ASSERT_TRUE(call.sink->WaitDone());
  EXPECT_EQ(call.sink->outcome(), v1::OUTCOME_OK);
}

TEST_F(ActivatorTest, EndsWhatStillRunsWhenItsTimeToStopIsOver) {
  AddReplica(1).Behave(Behaviour::kSilence);
  ASSERT_TRUE(Route({0}).ok());
  Call running = Begin("running");
  Call held = Begin("held");
  ASSERT_TRUE(replicas_[0]->WaitFor([](const Seen& seen) { return seen.running == 1; }));
  activator_->Stop(std::chrono::steady_clock::now());
  EXPECT_EQ(running.sink->reason(), kReasonShuttingDown);
  EXPECT_EQ(held.sink->reason(), kReasonShuttingDown);
}

}  // namespace
}  // namespace mayfly::gateway
