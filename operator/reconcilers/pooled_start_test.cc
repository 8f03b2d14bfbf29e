// Replicas that come out of a pool, as the function's reconciler sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/testing/eventually.h"
#include "operator/reconcilers/testing/rig.h"
#include "proto/problem.h"

namespace mayfly::op {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

v1::LoadReply Refusal(const std::string& reason, bool bound) {
  v1::LoadReply reply;
  *reply.mutable_problem() = v1::MakeProblem("runtime", reason, "it is no module");
  reply.set_bound(bound);
  return reply;
}

class PooledStartTest : public testing::Test {
 protected:
  void Ask() {
    rig_.link_.Report(Rig::kKey, 0, 1);
    rig_.Settle();
  }

  Rig rig_;
};

TEST_F(PooledStartTest, TakesAReplicaThatWaitsAndServesWithoutATick) {
  rig_.pool_.Add("p1");
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  Ask();
  EXPECT_EQ(rig_.cluster_.created(), 0);
  ASSERT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->endpoints(0).replica(), "p1");
  EXPECT_THAT(rig_.pool_.claimed(), ElementsAre("p1 for default/hello"));
  EXPECT_THAT(rig_.client_.Loads(), SizeIs(1));
  EXPECT_THAT(rig_.metrics_.Text(),
              HasSubstr("mayfly_cold_start_seconds_count{from=\"pool\",phase=\"total\"} 1"));
  EXPECT_THAT(rig_.metrics_.Text(),
              HasSubstr("mayfly_cold_start_seconds_count{from=\"pool\",phase=\"claim\"} 1"));
}

TEST_F(PooledStartTest, WritesNoStatusBeforeTheRequestCanGo) {
  rig_.pool_.Add("p1");
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  const int before = rig_.cluster_.status_writes();
  std::atomic<int> writes_when_loaded = -1;
  rig_.client_.OnLoad([&](const std::string&, const v1::LoadRequest&) {
    writes_when_loaded = rig_.cluster_.status_writes();
    return v1::LoadReply();
  });
  Ask();
  EXPECT_EQ(writes_when_loaded, before);
  EXPECT_GT(rig_.cluster_.status_writes(), before);
}

TEST_F(PooledStartTest, TellsGatewaysOfTheReplicaWhileItGetsItsModule) {
  rig_.pool_.Add("p1");
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  v1::Endpoint coming;
  std::string revision;
  rig_.client_.OnLoad([&](const std::string&, const v1::LoadRequest& request) {
    revision = request.revision();
    base::Eventually([&] { return rig_.endpoints() == 1; });
    coming = rig_.link_.Route(Rig::kKey)->endpoints(0);
    return v1::LoadReply();
  });
  Ask();
  EXPECT_EQ(coming.replica(), "p1");
  EXPECT_EQ(coming.revision(), revision);
  EXPECT_EQ(coming.slots(), 0u) << "it sends nothing there yet";
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->endpoints(0).slots(), 10u);
}

TEST_F(PooledStartTest, ClaimsOnceAndWritesNothingInASteadyState) {
  rig_.pool_.Add("p1");
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  Ask();
  rig_.link_.Report(Rig::kKey, 1, 0);
  rig_.Settle();
  const int writes = rig_.cluster_.status_writes();
  for (int i = 0; i < 10; ++i) {
    rig_.queue_.Add(Rig::kKey);
    rig_.Settle();
  }
  EXPECT_THAT(rig_.pool_.claimed(), SizeIs(1));
  EXPECT_EQ(rig_.cluster_.status_writes(), writes);
  EXPECT_EQ(rig_.pool_.takes(), 1);
}

TEST_F(PooledStartTest, MakesAReplicaWhenThePoolIsExhausted) {
  rig_.pool_.Add("p1");
  rig_.cluster_.Apply(rig_.Hello("aa", 2, 5));
  rig_.Settle();
  EXPECT_EQ(rig_.cluster_.created(), 1);
  EXPECT_TRUE(rig_.cluster_.HasEvent("PoolExhausted"));
  EXPECT_THAT(rig_.cluster_.All(), SizeIs(2));
}

TEST_F(PooledStartTest, SaysOnceWhyThePoolDoesNotFit) {
  rig_.pool_.RefuseWith(absl::FailedPreconditionError(
      "RuntimePool a does not fit: spec.artifact.credentialsSecret is mounted"));
  rig_.cluster_.Apply(rig_.Hello("aa", 3, 5));
  rig_.Settle();
  EXPECT_EQ(rig_.cluster_.created(), 3);
  const auto events = rig_.cluster_.Events();
  EXPECT_EQ(std::count_if(events.begin(), events.end(),
                          [](auto& event) { return event.reason == "PoolDoesNotFit"; }),
            1);
}

TEST_F(PooledStartTest, GivesBackAReplicaWhereNoneOfItsCodeRan) {
  rig_.pool_.Add("p1");
  rig_.client_.OnLoad([](const std::string&, const v1::LoadRequest&) { return Refusal("BadModule", false); });
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  Ask();
  EXPECT_THAT(rig_.pool_.waiting(), ElementsAre("p1"));
  EXPECT_THAT(rig_.pool_.claimed(), IsEmpty());
  EXPECT_EQ(rig_.cluster_.deleted(), 0);
  EXPECT_EQ(rig_.cluster_.created(), 0) << "a pod of its own would refuse the module as well";
  EXPECT_TRUE(rig_.cluster_.HasEvent("BadModule"));
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->unavailable().reason(), "BadModule");
}

TEST_F(PooledStartTest, KeepsAReplicaWhereItsCodeRan) {
  rig_.pool_.Add("p1");
  rig_.client_.OnLoad(
      [](const std::string&, const v1::LoadRequest&) { return Refusal("CreateFailed", true); });
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  Ask();
  EXPECT_THAT(rig_.pool_.waiting(), IsEmpty()) << "no other function may get it";
  EXPECT_THAT(rig_.pool_.claimed(), ElementsAre("p1 for default/hello"));
}

TEST_F(PooledStartTest, ClaimsAReplicaWhoseModuleIsBeingFetched) {
  rig_.pool_.Add("p1");
  std::atomic<bool> fetching = true;
  rig_.client_.OnLoad([&](const std::string&, const v1::LoadRequest&) {
    return fetching ? Refusal("ArtifactFetching", false) : v1::LoadReply();
  });
  rig_.cluster_.Apply(rig_.Hello("aa", 1, 5));
  rig_.Settle();
  EXPECT_THAT(rig_.pool_.claimed(), SizeIs(1));
  fetching = false;
  rig_.Pass(2);
  EXPECT_EQ(rig_.endpoints(), 1);
  EXPECT_THAT(rig_.pool_.claimed(), SizeIs(1));
}

TEST_F(PooledStartTest, DoesWithoutAReplicaThatAnotherFunctionGot) {
  rig_.pool_.Add("p1");
  rig_.client_.OnLoad(
      [&](const std::string& address, const v1::LoadRequest&) -> absl::StatusOr<v1::LoadReply> {
        if (address == "unix:/p1")
          return absl::AlreadyExistsError("this runtime has run code of default/other");
        return v1::LoadReply();
      });
  rig_.cluster_.RunAtOnce(true);
  rig_.pool_.RefuseWith(absl::OkStatus());
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Step();
  rig_.pool_.RefuseWith(absl::ResourceExhaustedError("none waits"));
  rig_.Settle();
  rig_.Pass(1);
  ASSERT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->endpoints(0).replica(), "hello-1");
  EXPECT_EQ(rig_.cluster_.deleted(), 0) << "it is the other function's now";
}

TEST_F(PooledStartTest, LeavesAReplicaAloneWhoseClaimIsRefused) {
  rig_.pool_.Add("p1");
  rig_.pool_.FailClaims(absl::AbortedError("it is of another function"));
  rig_.cluster_.RunAtOnce(true);
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Step();
  rig_.pool_.RefuseWith(absl::ResourceExhaustedError("none waits"));
  rig_.Settle();
  rig_.Pass(1);
  EXPECT_EQ(rig_.cluster_.deleted(), 0);
  ASSERT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->endpoints(0).replica(), "hello-1");
}

TEST_F(PooledStartTest, ServesOnWhileAClaimCannotBeWritten) {
  rig_.pool_.Add("p1");
  rig_.pool_.FailClaims(absl::UnavailableError("the API server is away"));
  rig_.cluster_.Apply(rig_.Hello("aa", 1, 5));
  rig_.Settle();
  rig_.Pass(5);
  EXPECT_EQ(rig_.endpoints(), 1);
  rig_.pool_.FailClaims(absl::OkStatus());
  rig_.Pass(40);
  EXPECT_THAT(rig_.pool_.claimed(), ElementsAre("p1 for default/hello"));
  EXPECT_EQ(rig_.endpoints(), 1);
}

TEST_F(PooledStartTest, DeletesATakenReplicaThatItNeedsNoMore) {
  rig_.pool_.Add("p1");
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  Ask();
  ASSERT_EQ(rig_.endpoints(), 1);
  rig_.link_.Report(Rig::kKey, 0, 0);
  rig_.Settle();
  for (int i = 0; i < 90 && rig_.cluster_.deleted() == 0; ++i) {
    rig_.Pass(1);
    rig_.link_.Report(Rig::kKey, 0, 0);
  }
  EXPECT_EQ(rig_.cluster_.deleted(), 1);
  EXPECT_THAT(rig_.pool_.waiting(), IsEmpty());
  EXPECT_THAT(rig_.client_.Drained(), ElementsAre("unix:/p1"));
}

TEST_F(PooledStartTest, ReplacesAReplicaThatDiesBeforeItHasItsModule) {
  rig_.pool_.Add("p1");
  rig_.pool_.Add("p2");
  rig_.client_.OnLoad(
      [&](const std::string& address, const v1::LoadRequest&) -> absl::StatusOr<v1::LoadReply> {
        if (address == "unix:/p1") return absl::UnavailableError("connection refused");
        return v1::LoadReply();
      });
  rig_.cluster_.Apply(rig_.Hello("aa", 1, 5));
  rig_.Settle();
  rig_.Pass(3);
  ASSERT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->endpoints(0).replica(), "p2");
  EXPECT_EQ(rig_.cluster_.deleted(), 1);
}

}  // namespace
}  // namespace mayfly::op
