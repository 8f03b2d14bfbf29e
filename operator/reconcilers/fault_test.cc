// Faults at every step: whatever call to the cluster fails, and whenever a replica dies, the end is right.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <set>

#include "operator/reconcilers/testing/rig.h"

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::SizeIs;

// A function's whole life: applied, called, changed, idle, called again, deleted. Where a call failed, time passes until it
// is tried again. Returns how many calls the cluster took.
int LiveOnce(int fail_at, absl::StatusCode code) {
  Rig rig;
  rig.link_.ConfirmAtOnce(true);
  rig.cluster_.RunAtOnce(true);
  int calls = 0;
  rig.cluster_.FailWith([&](const std::string& call) {
    return ++calls == fail_at ? absl::Status(code, call + " failed on purpose") : absl::OkStatus();
  });
  const std::string where = "with call " + std::to_string(fail_at) + " failing";

  rig.cluster_.Apply(rig.Hello());
  rig.Settle();
  rig.link_.Report(Rig::kKey, 0, 1);
  rig.Settle();
  rig.link_.Report(Rig::kKey, 1, 0);
  rig.Pass(2);
  EXPECT_EQ(rig.endpoints(), 1) << where;
  EXPECT_THAT(rig.cluster_.All(), SizeIs(1)) << where;

  rig.cluster_.Apply(rig.Hello("bb"));
  rig.Pass(2);
  EXPECT_EQ(rig.endpoints(), 1) << where;
  EXPECT_EQ(rig.client_.Loads().back().sha256(), "bb") << where;
  EXPECT_EQ(rig.cluster_.Status(Rig::kKey).ready_replicas, 1) << where;
  EXPECT_EQ(rig.cluster_.ConditionOf(Rig::kKey, "ArtifactReady").reason, "Loaded") << where;

  rig.link_.Report(Rig::kKey, 0, 0);
  rig.Pass(65);
  EXPECT_THAT(rig.cluster_.All(), SizeIs(0)) << where;
  EXPECT_EQ(rig.cluster_.ConditionOf(Rig::kKey, "Active").reason, "ScaledToZero") << where;

  rig.link_.Report(Rig::kKey, 0, 1);
  rig.Pass(2);
  EXPECT_EQ(rig.endpoints(), 1) << where;

  rig.cluster_.Remove(Rig::kKey);
  rig.Pass(5);
  EXPECT_EQ(rig.endpoints(), -1) << where;
  EXPECT_THAT(rig.cluster_.All(), SizeIs(0)) << where;
  EXPECT_TRUE(rig.link_.in_order());
  return calls;
}

TEST(FaultTest, EndsRightWhicheverCallToTheClusterFails) {
  const int calls = LiveOnce(0, absl::StatusCode::kUnavailable);
  ASSERT_GT(calls, 20);
  for (int n = 1; n <= calls; ++n) LiveOnce(n, absl::StatusCode::kUnavailable);
}

TEST(FaultTest, ReplacesAReplicaThatDiesBeforeItRuns) {
  Rig rig;
  rig.cluster_.Apply(rig.Hello());
  rig.link_.Report(Rig::kKey, 0, 1);
  rig.Settle();
  rig.cluster_.SetPhase("hello-1", ReplicaPhase::kFailed, "exit status 1");
  rig.Settle();
  rig.cluster_.RunAtOnce(true);
  rig.Pass(1);
  EXPECT_EQ(rig.endpoints(), 1);
  EXPECT_THAT(rig.cluster_.All(), SizeIs(1));
}

TEST(FaultTest, ReplacesAReplicaThatDiesWhileItLoads) {
  Rig rig;
  std::atomic<int> loads = 0;
  rig.client_.OnLoad(
      [&](const std::string& address, const v1::LoadRequest&) -> absl::StatusOr<v1::LoadReply> {
        if (++loads > 1) return v1::LoadReply();
        rig.cluster_.SetPhase(address.substr(6), ReplicaPhase::kFailed, "killed by signal 9");
        return absl::UnavailableError("socket closed");
      });
  rig.cluster_.RunAtOnce(true);
  rig.cluster_.Apply(rig.Hello());
  rig.link_.Report(Rig::kKey, 0, 1);
  rig.Pass(2);
  EXPECT_EQ(rig.endpoints(), 1);
  EXPECT_EQ(rig.cluster_.created(), 2);
  EXPECT_THAT(rig.cluster_.All(), SizeIs(1));
}

v1::LoadReply CreateKilled() {
  v1::LoadReply reply;
  reply.mutable_problem()->set_component("worker");
  reply.mutable_problem()->set_reason("CreateKilled");
  reply.mutable_problem()->set_message("killed from outside");
  return reply;
}

TEST(FaultTest, LoadsAModuleAgainWhoseCreateWasKilledFromOutside) {
  Rig rig;
  std::atomic<int> loads = 0;
  rig.client_.OnLoad([&](const std::string&, const v1::LoadRequest&) {
    return ++loads > 2 ? v1::LoadReply() : CreateKilled();
  });
  rig.cluster_.RunAtOnce(true);
  rig.cluster_.Apply(rig.Hello());
  rig.link_.Report(Rig::kKey, 0, 1);
  rig.Pass(4);
  EXPECT_EQ(rig.endpoints(), 1);
  EXPECT_EQ(loads, 3);
  EXPECT_EQ(rig.cluster_.created(), 1) << "the replica is as good as before";
  EXPECT_FALSE(rig.cluster_.HasEvent("CreateKilled"));
}

TEST(FaultTest, RefusesAModuleWhoseCreateIsKilledEachTime) {
  Rig rig;
  rig.client_.OnLoad([&](const std::string&, const v1::LoadRequest&) { return CreateKilled(); });
  rig.cluster_.RunAtOnce(true);
  rig.cluster_.Apply(rig.Hello());
  rig.link_.Report(Rig::kKey, 0, 1);
  rig.Pass(5);
  EXPECT_EQ(rig.link_.Route(Rig::kKey)->unavailable().reason(), "CreateKilled");
  EXPECT_THAT(rig.client_.Loads(), SizeIs(5)) << "not again and again";
}

TEST(FaultTest, FinishesTheDrainOfAReplicaThatDiesOnItsWayOut) {
  Rig rig;
  rig.cluster_.Apply(rig.Hello());
  rig.ServeOne();
  rig.link_.Report(Rig::kKey, 0, 0);
  rig.Pass(60);
  rig.cluster_.SetPhase("hello-1", ReplicaPhase::kFailed, "killed by signal 9");
  rig.Settle();
  EXPECT_THAT(rig.cluster_.All(), SizeIs(0));
  EXPECT_FALSE(rig.cluster_.HasEvent("ReplicaFailed")) << "it had to go anyway";
}

TEST(FaultTest, LetsOthersBeReconciledWhileALoadHangs) {
  Rig rig;
  rig.link_.ConfirmAtOnce(true);
  rig.cluster_.RunAtOnce(true);
  std::latch go(1);
  rig.client_.OnLoad([&](const std::string&, const v1::LoadRequest& request) {
    if (request.function() == Rig::kKey) go.wait();
    return v1::LoadReply();
  });
  rig.cluster_.Apply(rig.Hello());
  rig.cluster_.Apply(rig.Hello("bb", "other"));
  rig.link_.Report(Rig::kKey, 0, 1);
  rig.Step();
  rig.link_.Report("default/other", 0, 1);
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (rig.endpoints("default/other") != 1 && std::chrono::steady_clock::now() < deadline) {
    rig.Step();
    std::this_thread::yield();
  }
  EXPECT_EQ(rig.endpoints("default/other"), 1);
  EXPECT_EQ(rig.endpoints(), 0);
  go.count_down();
  rig.Settle();
  EXPECT_EQ(rig.endpoints(), 1);
}

TEST(FaultTest, ReplacesAReplicaWhoseLoadNeverEnds) {
  Rig rig;
  std::atomic<int> loads = 0;
  rig.client_.OnLoad([&](const std::string&, const v1::LoadRequest&) -> absl::StatusOr<v1::LoadReply> {
    if (++loads > 1) return v1::LoadReply();
    return absl::DeadlineExceededError("Deadline Exceeded");
  });
  rig.cluster_.RunAtOnce(true);
  rig.cluster_.Apply(rig.Hello());
  rig.link_.Report(Rig::kKey, 0, 1);
  rig.Pass(2);
  EXPECT_EQ(rig.endpoints(), 1);
  EXPECT_EQ(rig.cluster_.created(), 2);
}

TEST(FaultTest, KeepsServingTheOldRevisionWhenTheLoadOfANewOneNeverEnds) {
  Rig rig;
  rig.cluster_.Apply(rig.Hello());
  rig.ServeOne();
  rig.client_.OnLoad([&](const std::string&, const v1::LoadRequest&) -> absl::StatusOr<v1::LoadReply> {
    return absl::DeadlineExceededError("Deadline Exceeded");
  });
  rig.cluster_.Apply(rig.Hello("bb"));
  rig.Pass(2);
  EXPECT_EQ(rig.endpoints(), 1);
  EXPECT_EQ(rig.cluster_.created(), 1);
  EXPECT_EQ(rig.cluster_.ConditionOf(Rig::kKey, "ArtifactReady").reason, "LoadTimedOut");
}

TEST(FaultTest, HarmsNoReplicaThatObeysAnOperatorWithANewerEpoch) {
  Rig rig;
  rig.client_.OnLoad([&](const std::string&, const v1::LoadRequest&) -> absl::StatusOr<v1::LoadReply> {
    return absl::FailedPreconditionError("epoch 1 is older than 2");
  });
  rig.cluster_.RunAtOnce(true);
  rig.cluster_.Apply(rig.Hello());
  rig.link_.Report(Rig::kKey, 0, 1);
  rig.Pass(20);
  EXPECT_EQ(rig.cluster_.created(), 1);
  EXPECT_EQ(rig.cluster_.deleted(), 0);
  EXPECT_LE(rig.client_.Loads().size(), 5u) << "not again and again";
}

// Replicas die at random moments of everything; in the end as many serve as should.
TEST(FaultTest, ComesToRestAfterReplicasDiedAtRandom) {
  Rig rig;
  rig.link_.ConfirmAtOnce(true);
  rig.cluster_.RunAtOnce(true);
  rig.cluster_.Apply(rig.Hello("aa", 3, 20));
  rig.Settle();
  std::minstd_rand random(7);
  for (int round = 0; round < 200; ++round) {
    const auto all = rig.cluster_.All();
    if (!all.empty()) {
      const Replica& victim = all[random() % all.size()];
      rig.cluster_.SetPhase(victim.name, ReplicaPhase::kFailed, "killed by signal 9");
    }
    if (random() % 4 == 0) rig.cluster_.Apply(rig.Hello(random() % 2 == 0 ? "aa" : "bb", 3, 20));
    rig.clock_.Advance(std::chrono::milliseconds(random() % 1500));
    if (random() % 3 == 0) rig.Settle();
    rig.Step();
  }
  rig.Pass(5);
  EXPECT_EQ(rig.endpoints(), 3);
  EXPECT_THAT(rig.cluster_.All(), SizeIs(3));
  EXPECT_EQ(rig.cluster_.Status(Rig::kKey).ready_replicas, 3);
}

TEST(FaultTest, DoesNotStormWhenReplicasDieBeforeTheyServe) {
  Rig rig;
  rig.link_.ConfirmAtOnce(true);
  rig.cluster_.Apply(rig.Hello("aa", 1, 20));
  rig.Settle();
  for (int second = 0; second < 60; ++second) {
    for (const Replica& replica : rig.cluster_.All()) {
      rig.cluster_.SetPhase(replica.name, ReplicaPhase::kFailed, "exit status 127");
    }
    // What kills some as they start may be over in a moment: until then requests are held.
    if (second < 3) {
      EXPECT_FALSE(rig.link_.Route(Rig::kKey)->has_unavailable()) << second;
    }
    rig.Pass(1);
  }
  EXPECT_GT(rig.cluster_.created(), 3);
  EXPECT_LT(rig.cluster_.created(), 12);
  ASSERT_TRUE(rig.link_.Route(Rig::kKey)->has_unavailable()) << "who waits is told why";
  EXPECT_THAT(rig.link_.Route(Rig::kKey)->unavailable().message(), HasSubstr("exit status 127"));
  // It recovers by itself.
  rig.cluster_.RunAtOnce(true);
  rig.Pass(60);
  EXPECT_EQ(rig.endpoints(), 1);
  EXPECT_FALSE(rig.link_.Route(Rig::kKey)->has_unavailable());
}

}  // namespace
}  // namespace mayfly::op
