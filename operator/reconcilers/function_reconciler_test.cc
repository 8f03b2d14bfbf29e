#include "operator/reconcilers/function_reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/eventually.h"
#include "operator/reconcilers/testing/rig.h"
#include "proto/problem.h"

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

v1::LoadReply Refusal(const std::string& reason, const std::string& message) {
  v1::LoadReply reply;
  *reply.mutable_problem() = v1::MakeProblem("runtime", reason, message);
  return reply;
}

class FunctionReconcilerTest : public testing::Test {
 protected:
  FunctionReconcilerTest() { rig_.link_.ConfirmAtOnce(true); }

  ConditionStatus Status(const std::string& type) {
    return rig_.cluster_.ConditionOf(Rig::kKey, type).status;
  }
  // Of the endpoints.
  std::vector<std::string> Revisions() {
    const auto route = rig_.link_.Route(Rig::kKey);
    std::vector<std::string> revisions;
    for (const auto& endpoint : route.value().endpoints()) revisions.push_back(endpoint.revision());
    return revisions;
  }
  std::string Reason(const std::string& type) { return rig_.cluster_.ConditionOf(Rig::kKey, type).reason; }

  Rig rig_;
};

TEST_F(FunctionReconcilerTest, IsReadyAtZeroReplicas) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  const FunctionStatus status = rig_.cluster_.Status(Rig::kKey);
  EXPECT_EQ(Status("Ready"), ConditionStatus::kTrue);
  EXPECT_EQ(Status("ArtifactReady"), ConditionStatus::kTrue);
  EXPECT_EQ(Status("TriggersReady"), ConditionStatus::kTrue);
  EXPECT_EQ(Status("Active"), ConditionStatus::kFalse);
  EXPECT_EQ(Reason("Active"), "ScaledToZero");
  EXPECT_EQ(status.url, "http://127.0.0.1:8080/hello");
  EXPECT_EQ(status.observed_generation, 1);
  EXPECT_THAT(status.revision, SizeIs(10));
  EXPECT_EQ(rig_.cluster_.created(), 0);
  ASSERT_TRUE(rig_.link_.Route(Rig::kKey));
  EXPECT_FALSE(rig_.link_.Route(Rig::kKey)->has_unavailable());
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->http(0).path(), "/hello");
}

TEST_F(FunctionReconcilerTest, WritesNothingInASteadyState) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.ServeOne();
  const int writes = rig_.cluster_.status_writes();
  const int updates = rig_.link_.updates();
  const auto loads = rig_.client_.Loads().size();
  const auto events = rig_.cluster_.Events().size();
  for (int i = 0; i < 10; ++i) {
    rig_.queue_.Add(Rig::kKey);
    rig_.Settle();
  }
  EXPECT_EQ(rig_.cluster_.status_writes(), writes);
  EXPECT_EQ(rig_.link_.updates(), updates);
  EXPECT_THAT(rig_.client_.Loads(), SizeIs(loads));
  EXPECT_THAT(rig_.cluster_.Events(), SizeIs(events));
  EXPECT_EQ(rig_.cluster_.created(), 1);
}

TEST_F(FunctionReconcilerTest, StartsAReplicaForTheFirstRequestWithoutATick) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Settle();
  EXPECT_EQ(rig_.cluster_.created(), 1);
  EXPECT_EQ(rig_.endpoints(), 0) << "it does not answer yet";
  EXPECT_EQ(Reason("Active"), "Starting");
  rig_.cluster_.RunAll();
  rig_.Settle();
  ASSERT_EQ(rig_.endpoints(), 1);
  const v1::Endpoint endpoint = rig_.link_.Route(Rig::kKey)->endpoints(0);
  EXPECT_EQ(endpoint.slots(), 10u);
  EXPECT_EQ(endpoint.address(), "unix:/hello-1");
  EXPECT_EQ(endpoint.revision(), rig_.link_.Route(Rig::kKey)->revision());
  EXPECT_EQ(Reason("Active"), "Serving");
  EXPECT_EQ(Reason("ArtifactReady"), "Loaded");
  const v1::LoadRequest load = rig_.client_.Loads().at(0);
  EXPECT_EQ(load.path(), "/artifacts/aa.so");
  EXPECT_EQ(load.sha256(), "aa");
  EXPECT_EQ(load.concurrency(), 10u);
  EXPECT_EQ(load.epoch(), 1u);
  EXPECT_THAT(rig_.metrics_.Text(),
              HasSubstr("mayfly_cold_start_seconds_count{from=\"created\",phase=\"total\"} 1"));
}

TEST_F(FunctionReconcilerTest, TellsGatewaysWhatTheFirstReplicaIsDoing) {
  std::string while_loading;
  rig_.client_.OnLoad([&](const std::string&, const v1::LoadRequest&) {
    base::Eventually([&] { return !rig_.link_.Route(Rig::kKey)->starting().empty(); });
    while_loading = rig_.link_.Route(Rig::kKey)->starting();
    return v1::LoadReply();
  });
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Settle();
  rig_.cluster_.RunAll();
  rig_.Settle();
  EXPECT_THAT(while_loading, HasSubstr("loads its module and runs create()"));
  ASSERT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->starting(), "") << "it serves";
}

TEST_F(FunctionReconcilerTest, AsksForOneReplicaHoweverManyWait) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  for (unsigned i = 1; i < 100; ++i) {
    rig_.link_.Report(Rig::kKey, 0, i);
    rig_.Settle();
  }
  EXPECT_EQ(rig_.cluster_.created(), 1);
}

TEST_F(FunctionReconcilerTest, CountsReplicasBeingPreparedAsCapacity) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  rig_.link_.Report(Rig::kKey, 0, 35);
  rig_.Pass(3);
  const int created = rig_.cluster_.created();
  EXPECT_EQ(created, 5) << "35 at 7 each";
  rig_.link_.Report(Rig::kKey, 0, 35);
  rig_.Pass(1);
  EXPECT_EQ(rig_.cluster_.created(), created) << "none runs yet, but they are on their way";
}

TEST_F(FunctionReconcilerTest, GoesBackToZeroWhenIdleWithoutLosingAnything) {
  rig_.link_.ConfirmAtOnce(false);
  rig_.cluster_.Apply(rig_.Hello());
  rig_.ServeOne();
  rig_.link_.Report(Rig::kKey, 0, 0);
  rig_.Pass(59);
  EXPECT_EQ(rig_.endpoints(), 1);
  rig_.Pass(1);
  EXPECT_EQ(rig_.endpoints(), 0) << "out of the route first";
  EXPECT_THAT(rig_.client_.Drained(), IsEmpty()) << "the gateway has not confirmed yet";
  EXPECT_EQ(rig_.cluster_.deleted(), 0);
  rig_.link_.Confirm();
  rig_.Settle();
  EXPECT_THAT(rig_.client_.Drained(), ElementsAre("unix:/hello-1"));
  EXPECT_EQ(rig_.cluster_.deleted(), 1);
  EXPECT_EQ(Reason("Active"), "ScaledToZero");
  EXPECT_EQ(Status("Ready"), ConditionStatus::kTrue);
  EXPECT_THAT(rig_.client_.Forgotten(), ElementsAre("unix:/hello-1"));
}

TEST_F(FunctionReconcilerTest, DrainsWithoutASilentGatewayWhenItsTimeIsUp) {
  rig_.link_.ConfirmAtOnce(false);
  rig_.cluster_.Apply(rig_.Hello());
  rig_.ServeOne();
  rig_.link_.Report(Rig::kKey, 0, 0);
  rig_.Pass(62);
  EXPECT_EQ(rig_.cluster_.deleted(), 0);
  rig_.Pass(2);
  EXPECT_EQ(rig_.cluster_.deleted(), 1);
}

TEST_F(FunctionReconcilerTest, TakesAReplicaBackThatWasAboutToGo) {
  rig_.link_.ConfirmAtOnce(false);
  rig_.cluster_.Apply(rig_.Hello());
  rig_.ServeOne();
  rig_.link_.Report(Rig::kKey, 0, 0);
  rig_.Pass(60);
  ASSERT_EQ(rig_.endpoints(), 0);
  rig_.link_.ReportDemandOnly(Rig::kKey, 0, 1);
  rig_.Settle();
  EXPECT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.cluster_.created(), 1);
  EXPECT_EQ(rig_.cluster_.deleted(), 0);
}

TEST_F(FunctionReconcilerTest, StopsIdleReplicasBeforeBusyOnes) {
  rig_.cluster_.RunAtOnce(true);
  rig_.cluster_.Apply(rig_.Hello("aa", 3, 20));
  rig_.Settle();
  ASSERT_EQ(rig_.endpoints(), 3);
  rig_.client_.SetBusy("unix:/hello-1", 2);
  rig_.client_.SetBusy("unix:/hello-2", 0);
  rig_.client_.SetBusy("unix:/hello-3", 5);
  rig_.cluster_.Apply(rig_.Hello("aa", 1, 1));
  rig_.Settle();
  EXPECT_THAT(rig_.client_.Drained(), testing::UnorderedElementsAre("unix:/hello-2", "unix:/hello-1"));
  EXPECT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->endpoints(0).replica(), "hello-3");
}

TEST_F(FunctionReconcilerTest, SwapsInPlaceAndNeverWithoutAnEndpoint) {
  rig_.cluster_.RunAtOnce(true);
  rig_.cluster_.Apply(rig_.Hello("aa", 3, 20));
  rig_.Settle();
  ASSERT_EQ(rig_.endpoints(), 3);
  const std::string before = rig_.link_.Route(Rig::kKey)->revision();
  int during = 3;
  rig_.client_.OnLoad([&](const std::string&, const v1::LoadRequest&) {
    during = std::min(during, rig_.endpoints());
    return v1::LoadReply();
  });
  rig_.cluster_.Apply(rig_.Hello("bb", 3, 20));
  rig_.Settle();
  const auto route = *rig_.link_.Route(Rig::kKey);
  EXPECT_NE(route.revision(), before);
  ASSERT_EQ(route.endpoints_size(), 3);
  for (const auto& endpoint : route.endpoints()) EXPECT_EQ(endpoint.revision(), route.revision());
  EXPECT_EQ(during, 3);
  EXPECT_EQ(rig_.cluster_.created(), 3) << "no replica was replaced";
}

TEST_F(FunctionReconcilerTest, KeepsTheOldRevisionServingWhenTheNewModuleIsRefused) {
  rig_.cluster_.RunAtOnce(true);
  rig_.cluster_.Apply(rig_.Hello("aa", 3, 20));
  rig_.Settle();
  const std::string before = rig_.link_.Route(Rig::kKey)->revision();
  rig_.client_.OnLoad([&](const std::string&, const v1::LoadRequest& request) {
    return request.sha256() == "bb" ? Refusal("MissingSymbol", "symbol foo is missing: link libfoo")
                                    : v1::LoadReply();
  });
  rig_.cluster_.Apply(rig_.Hello("bb", 3, 20));
  rig_.Settle();
  EXPECT_THAT(rig_.client_.Loads(), SizeIs(4)) << "one replica tried it, the others were spared";
  ASSERT_EQ(rig_.endpoints(), 3);
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->endpoints(0).revision(), before);
  EXPECT_EQ(Status("ArtifactReady"), ConditionStatus::kFalse);
  EXPECT_EQ(Reason("ArtifactReady"), "MissingSymbol");
  EXPECT_EQ(Status("Ready"), ConditionStatus::kTrue);
  EXPECT_EQ(Reason("Ready"), "OldRevisionServes");
  EXPECT_EQ(rig_.cluster_.Status(Rig::kKey).revision, before) << "the one that serves";
  EXPECT_EQ(rig_.cluster_.Status(Rig::kKey).last_failure->message(), "symbol foo is missing: link libfoo");
  EXPECT_TRUE(rig_.cluster_.HasEvent("MissingSymbol"));

  // A replica that is made now gets the revision that works.
  rig_.clock_.Advance(1s);
  rig_.cluster_.SetPhase("hello-1", ReplicaPhase::kFailed, "killed by signal 9");
  rig_.Settle();
  ASSERT_EQ(rig_.endpoints(), 3);
  EXPECT_THAT(Revisions(), Each(before));

  // The fixed module is loaded at once.
  rig_.cluster_.Apply(rig_.Hello("cc", 3, 20));
  rig_.Settle();
  EXPECT_EQ(Reason("ArtifactReady"), "Loaded");
  EXPECT_THAT(Revisions(), Each(testing::Ne(before)));
}

TEST_F(FunctionReconcilerTest, RefusesRequestsWithTheSentenceWhenNoRevisionEverLoaded) {
  bool good = false;
  rig_.client_.OnLoad([&](const std::string&, const v1::LoadRequest&) {
    return good ? v1::LoadReply() : Refusal("NotElf", "hello.so is not an ELF file");
  });
  rig_.cluster_.Apply(rig_.Hello());
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.cluster_.RunAtOnce(true);
  rig_.Settle();
  rig_.cluster_.RunAll();
  rig_.Settle();
  ASSERT_TRUE(rig_.link_.Route(Rig::kKey)->has_unavailable());
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->unavailable().message(), "hello.so is not an ELF file");
  EXPECT_EQ(Status("Ready"), ConditionStatus::kFalse);
  EXPECT_EQ(Reason("Ready"), "NotElf");
  EXPECT_EQ(rig_.cluster_.created(), 1);
  EXPECT_THAT(rig_.client_.Loads(), SizeIs(1)) << "not again and again";

  // After a while it is tried again by itself: what create() needed may be there now.
  rig_.Pass(10);
  EXPECT_THAT(rig_.client_.Loads(), SizeIs(2));
  EXPECT_TRUE(rig_.link_.Route(Rig::kKey)->has_unavailable());
  good = true;
  rig_.Pass(20);
  EXPECT_FALSE(rig_.link_.Route(Rig::kKey)->has_unavailable());
  EXPECT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(Status("Ready"), ConditionStatus::kTrue);
}

TEST_F(FunctionReconcilerTest, IsNotReadyAtZeroWithAModuleThatWasRefused) {
  rig_.client_.OnLoad([](const std::string&, const v1::LoadRequest&) {
    return Refusal("NotElf", "hello.so is not an ELF file");
  });
  rig_.cluster_.RunAtOnce(true);
  rig_.cluster_.Apply(rig_.Hello());
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Settle();
  rig_.link_.Report(Rig::kKey, 0, 0);
  rig_.Pass(400);
  EXPECT_THAT(rig_.cluster_.All(), IsEmpty());
  EXPECT_EQ(Status("Ready"), ConditionStatus::kFalse);
  EXPECT_EQ(Reason("Ready"), "NotElf");
  EXPECT_FALSE(rig_.link_.Route(Rig::kKey)->has_unavailable()) << "the next request makes it be tried again";
  const auto loads = rig_.client_.Loads().size();
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Settle();
  EXPECT_THAT(rig_.client_.Loads(), SizeIs(loads + 1));
  EXPECT_TRUE(rig_.link_.Route(Rig::kKey)->has_unavailable());
}

TEST_F(FunctionReconcilerTest, LoadsAFixedModuleIntoTheReplicaThatWaitsForIt) {
  rig_.client_.OnLoad([&](const std::string&, const v1::LoadRequest& request) {
    return request.sha256() == "aa" ? Refusal("NotElf", "hello.so is not an ELF file") : v1::LoadReply();
  });
  rig_.cluster_.Apply(rig_.Hello("aa", 1, 20));
  rig_.Settle();
  rig_.cluster_.RunAll();
  rig_.Settle();
  ASSERT_TRUE(rig_.link_.Route(Rig::kKey)->has_unavailable());
  rig_.cluster_.Apply(rig_.Hello("bb", 1, 20));
  rig_.Settle();
  EXPECT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.cluster_.created(), 1);
}

TEST_F(FunctionReconcilerTest, RefusesRequestsWhileTheArtifactCannotBeRead) {
  FunctionObject object = rig_.Hello("");
  object.artifact_problem =
      v1::MakeProblem("runtime", "ArtifactMissing", "build/hello.so does not exist: build it");
  rig_.cluster_.Apply(object);
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Settle();
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->unavailable().reason(), "ArtifactMissing");
  EXPECT_EQ(rig_.cluster_.created(), 0) << "nothing could be loaded";
  EXPECT_EQ(Reason("ArtifactReady"), "ArtifactMissing");
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  EXPECT_FALSE(rig_.link_.Route(Rig::kKey)->has_unavailable());
  EXPECT_EQ(rig_.cluster_.created(), 1) << "somebody still waits";
}

TEST_F(FunctionReconcilerTest, ServesOnWhileTheArtifactIsBeingRebuilt) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.ServeOne();
  FunctionObject object = rig_.Hello("");
  object.artifact_problem =
      v1::MakeProblem("runtime", "ArtifactMissing", "build/hello.so does not exist: build it");
  rig_.cluster_.Apply(object);
  rig_.Settle();
  EXPECT_EQ(rig_.endpoints(), 1);
  EXPECT_FALSE(rig_.link_.Route(Rig::kKey)->has_unavailable());
  EXPECT_EQ(Status("ArtifactReady"), ConditionStatus::kFalse);
  EXPECT_EQ(Status("Ready"), ConditionStatus::kTrue);
}

TEST_F(FunctionReconcilerTest, TellsWhatIsWrongWithAManifest) {
  rig_.cluster_.ApplyInvalid(
      Rig::kKey, v1::MakeProblem("runtime", "ManifestInvalid", "spec.timeout: 12parsecs is not a duration"));
  rig_.Settle();
  EXPECT_EQ(Status("Ready"), ConditionStatus::kFalse);
  EXPECT_EQ(rig_.cluster_.ConditionOf(Rig::kKey, "Ready").message,
            "spec.timeout: 12parsecs is not a duration");
  FunctionObject object = rig_.Hello();
  rig_.cluster_.Apply(object);
  rig_.Settle();
  EXPECT_EQ(Status("Ready"), ConditionStatus::kTrue);
  object.problem = v1::MakeProblem("runtime", "ManifestInvalid", "spec.handlr: no such field");
  rig_.cluster_.Apply(object);
  rig_.Settle();
  EXPECT_EQ(Status("Ready"), ConditionStatus::kTrue) << "the last good one serves";
  EXPECT_EQ(Reason("Ready"), "OldManifestServes");
  EXPECT_EQ(rig_.cluster_.Status(Rig::kKey).last_failure->message(), "spec.handlr: no such field");
}

TEST_F(FunctionReconcilerTest, EndsADeletedFunctionRouteFirst) {
  rig_.link_.ConfirmAtOnce(false);
  rig_.cluster_.Apply(rig_.Hello());
  rig_.ServeOne();
  rig_.cluster_.Remove(Rig::kKey);
  rig_.Settle();
  EXPECT_EQ(rig_.endpoints(), -1) << "no route";
  EXPECT_EQ(rig_.cluster_.deleted(), 0);
  rig_.link_.Confirm();
  rig_.Settle();
  EXPECT_THAT(rig_.client_.Drained(), ElementsAre("unix:/hello-1"));
  EXPECT_EQ(rig_.cluster_.deleted(), 1);
  EXPECT_EQ(rig_.reconciler_.View(Rig::kKey), std::nullopt);
}

TEST_F(FunctionReconcilerTest, ReplacesAReplicaThatDies) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.ServeOne();
  rig_.Pass(1);
  rig_.cluster_.SetPhase("hello-1", ReplicaPhase::kFailed, "killed by signal 9");
  rig_.Settle();
  EXPECT_EQ(rig_.endpoints(), 0) << "out of the route at once";
  EXPECT_EQ(rig_.cluster_.created(), 2) << "one that served is replaced at once";
  EXPECT_EQ(rig_.cluster_.deleted(), 1);
  EXPECT_THAT(rig_.client_.Drained(), IsEmpty());
  EXPECT_THAT(rig_.cluster_.Status(Rig::kKey).last_failure->message(), HasSubstr("killed by signal 9"));
  rig_.cluster_.RunAll();
  rig_.Settle();
  EXPECT_EQ(rig_.endpoints(), 1);
}

TEST_F(FunctionReconcilerTest, DoesNotGetStuckAtZeroAfterReplicasCouldNotStart) {
  rig_.cluster_.FailWith([](const std::string& call) {
    return call == "CreateReplica" ? absl::UnavailableError("fork: Cannot allocate memory")
                                   : absl::OkStatus();
  });
  rig_.cluster_.Apply(rig_.Hello());
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Pass(5);
  ASSERT_TRUE(rig_.link_.Route(Rig::kKey)->has_unavailable());
  EXPECT_THAT(rig_.link_.Route(Rig::kKey)->unavailable().message(), HasSubstr("Cannot allocate memory"));
  rig_.link_.Report(Rig::kKey, 0, 0);
  rig_.Pass(61);
  EXPECT_FALSE(rig_.link_.Route(Rig::kKey)->has_unavailable()) << "the next request may try";
  rig_.cluster_.FailWith(nullptr);
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Pass(60);
  EXPECT_EQ(rig_.cluster_.created(), 1);
}

TEST_F(FunctionReconcilerTest, VerifiesWhatAGatewayCannotReach) {
  rig_.cluster_.RunAtOnce(true);
  rig_.cluster_.Apply(rig_.Hello("aa", 2, 20));
  rig_.Settle();
  ASSERT_EQ(rig_.endpoints(), 2);
  rig_.clock_.Advance(2s);
  rig_.link_.Report(Rig::kKey, 0, 0, {"hello-1"});
  rig_.Settle();
  EXPECT_EQ(rig_.endpoints(), 2) << "it answers: the gateway's trouble is its own";
  rig_.client_.OnDescribe([](const std::string& address) {
    return address == "unix:/hello-1" ? absl::UnavailableError("connection refused") : absl::OkStatus();
  });
  rig_.clock_.Advance(2s);
  rig_.link_.Report(Rig::kKey, 0, 0, {"hello-1"});
  rig_.Settle();
  ASSERT_EQ(rig_.endpoints(), 2);
  EXPECT_EQ(rig_.cluster_.created(), 3) << "replaced";
  EXPECT_TRUE(rig_.cluster_.HasEvent("ReplicaDoesNotAnswer"));
}

TEST_F(FunctionReconcilerTest, AdoptsReplicasOfAnOperatorBeforeIt) {
  const std::string revision = MakeRevision(rig_.Hello())->name;
  for (const char* name : {"hello-x", "hello-y"}) {
    rig_.cluster_.AddReplica({.name = name,
                              .function = Rig::kKey,
                              .phase = ReplicaPhase::kRunning,
                              .address = std::string("unix:/") + name,
                              .message = {},
                              .created = {}});
    rig_.client_.SetLoaded(std::string("unix:/") + name, Rig::kKey, revision);
  }
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  EXPECT_EQ(rig_.endpoints(), 2);
  EXPECT_EQ(rig_.cluster_.created(), 0);
  EXPECT_EQ(rig_.cluster_.deleted(), 0);
  EXPECT_THAT(rig_.client_.Loads(), IsEmpty()) << "they have the revision already";
}

TEST_F(FunctionReconcilerTest, WritesNothingThatAnEarlierOperatorWroteAlready) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  FunctionObject object = rig_.Hello();
  object.status = rig_.cluster_.Status(Rig::kKey);
  Rig next;
  next.cluster_.Apply(object);
  next.Settle();
  EXPECT_EQ(next.cluster_.status_writes(), 0);
  EXPECT_EQ(next.reconciler_.View(Rig::kKey)->status.url, object.status->url);
}

TEST_F(FunctionReconcilerTest, ReplacesReplicasOfAnotherTemplateOnceNewOnesServe) {
  FunctionObject old = rig_.Hello("aa", 2, 20);
  old.replica_template = "t1";
  rig_.cluster_.RunAtOnce(true);
  rig_.cluster_.Apply(old);
  rig_.Settle();
  ASSERT_EQ(rig_.endpoints(), 2);
  rig_.cluster_.RunAtOnce(false);
  FunctionObject now = rig_.Hello("bb", 2, 20);
  now.replica_template = "t2";
  rig_.cluster_.Apply(now);
  rig_.Settle();
  EXPECT_EQ(rig_.cluster_.created(), 4);
  EXPECT_EQ(rig_.endpoints(), 2) << "the old ones serve while the new ones start";
  EXPECT_THAT(rig_.client_.Loads(), SizeIs(2)) << "and are not given what they cannot have";
  rig_.cluster_.RunAll();
  rig_.Settle();
  rig_.link_.ConfirmAtOnce(true);
  rig_.link_.Confirm();
  rig_.Settle();
  EXPECT_EQ(rig_.endpoints(), 2);
  EXPECT_EQ(rig_.cluster_.deleted(), 2);
  for (const Replica& replica : rig_.cluster_.All()) EXPECT_EQ(replica.replica_template, "t2");
}

TEST_F(FunctionReconcilerTest, LetsAReplicaEndThatSomebodyElseDeleted) {
  rig_.cluster_.RunAtOnce(true);
  rig_.cluster_.Apply(rig_.Hello("aa", 1, 20));
  rig_.Settle();
  ASSERT_EQ(rig_.endpoints(), 1);
  rig_.cluster_.SetPhase("hello-1", ReplicaPhase::kEnding);
  rig_.Settle();
  EXPECT_EQ(rig_.cluster_.created(), 2);
  EXPECT_EQ(rig_.cluster_.deleted(), 0) << "it finishes what it has";
  ASSERT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->endpoints(0).replica(), "hello-2");
  EXPECT_FALSE(rig_.cluster_.Status(Rig::kKey).last_failure.has_value());
}

TEST_F(FunctionReconcilerTest, TellsWhatKeepsAReplicaFromStartingAndStopsHoldingRequests) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Settle();
  rig_.cluster_.SetBlocked("hello-1", "ImagePullBackOff", "Back-off pulling image \"nowhere/x\"");
  rig_.Settle();
  EXPECT_TRUE(rig_.cluster_.HasEvent("ImagePullBackOff"));
  EXPECT_THAT(rig_.cluster_.Status(Rig::kKey).last_failure->message(), HasSubstr("nowhere/x"));
  EXPECT_EQ(rig_.cluster_.ConditionOf(Rig::kKey, "Ready").status, ConditionStatus::kFalse);
  ASSERT_TRUE(rig_.link_.Route(Rig::kKey)->has_unavailable());
  EXPECT_EQ(rig_.link_.Route(Rig::kKey)->unavailable().reason(), "ImagePullBackOff");
}

TEST_F(FunctionReconcilerTest, HoldsRequestsWhileAReplicaWaitsForANode) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Settle();
  rig_.cluster_.SetBlocked("hello-1", "Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.");
  rig_.Settle();
  EXPECT_TRUE(rig_.cluster_.HasEvent("Unschedulable"));
  EXPECT_FALSE(rig_.link_.Route(Rig::kKey)->has_unavailable());
}

TEST_F(FunctionReconcilerTest, GivesARouteToWhoHasItAndNamesTheOwnerToTheOther) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  FunctionObject other = rig_.Hello("bb", "alpha");
  auto function = std::make_shared<Function>(*other.function);
  function->spec.triggers[0].http->path = "/hello";
  other.function = function;
  rig_.cluster_.Apply(other);
  rig_.Settle();
  EXPECT_EQ(rig_.cluster_.ConditionOf("default/alpha", "TriggersReady").status, ConditionStatus::kFalse);
  EXPECT_THAT(rig_.cluster_.ConditionOf("default/alpha", "TriggersReady").message,
              HasSubstr("default/hello"));
  EXPECT_EQ(rig_.cluster_.ConditionOf("default/alpha", "Ready").status, ConditionStatus::kFalse);
  EXPECT_EQ(Status("TriggersReady"), ConditionStatus::kTrue);
  rig_.cluster_.Remove(Rig::kKey);
  rig_.Settle();
  EXPECT_EQ(rig_.cluster_.ConditionOf("default/alpha", "TriggersReady").status, ConditionStatus::kTrue)
      << "it takes over when the owner goes";
  EXPECT_EQ(rig_.link_.Route("default/alpha")->http_size(), 1);
}

TEST_F(FunctionReconcilerTest, ShowsWhatItKnows) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.ServeOne();
  const auto view = rig_.reconciler_.View(Rig::kKey);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->status.ready_replicas, 1);
  ASSERT_THAT(view->replicas, SizeIs(1));
  EXPECT_EQ(view->replicas[0].phase, "running");
  EXPECT_EQ(view->decisions.back().decision.reason, "FromZero");
  EXPECT_FALSE(view->events.empty());
  EXPECT_THAT(rig_.reconciler_.Views(), SizeIs(1));
  EXPECT_EQ(rig_.reconciler_.View("default/none"), std::nullopt);
}

}  // namespace
}  // namespace mayfly::op
