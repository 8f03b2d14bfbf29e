// The operator with all its threads, on real time, with a cluster, a gateway and runtimes that are fakes.
#include "operator/operator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <latch>
#include <thread>

#include "operator/control/testing/fake_gateway_link.h"
#include "operator/control/testing/fake_replica_client.h"
#include "operator/controller/testing/fake_cluster.h"
#include "operator/controller/testing/fake_replica_pool.h"

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

FunctionObject MakeFunction(const std::string& name, const std::string& sha256 = "aa") {
  auto function = std::make_shared<Function>();
  function->name = name;
  function->spec.scaling.scale_to_zero_after = 1s;
  FunctionObject object;
  object.function = std::move(function);
  object.artifact_sha256 = sha256;
  object.artifact_path = "/artifacts/" + sha256;
  return object;
}

class OperatorTest : public testing::Test {
 protected:
  OperatorTest() {
    link_.ConfirmAtOnce(true);
    cluster_.RunAtOnce(true);
  }
  int Endpoints(const std::string& function) {
    const auto route = link_.Route(function);
    return route ? route->endpoints_size() : -1;
  }

  base::RealClock clock_;
  base::Metrics metrics_;
  FakeCluster cluster_;
  FakeGatewayLink link_;
  FakeReplicaClient client_;
  Operator operator_{
      cluster_, link_,    client_,
      clock_,   metrics_, {.reconciler = {.base_url = "http://127.0.0.1:8080"}, .scaling = {}, .workers = 2}};
};

TEST_F(OperatorTest, TakesAFunctionFromZeroToOneAndBack) {
  cluster_.Apply(MakeFunction("f"));
  ASSERT_TRUE(operator_.Start().ok());
  ASSERT_TRUE(Eventually([&] { return Endpoints("default/f") == 0; }));
  link_.Report("default/f", 0, 1);
  ASSERT_TRUE(Eventually([&] { return Endpoints("default/f") == 1; }));
  link_.Report("default/f", 0, 0);
  ASSERT_TRUE(Eventually([&] { return Endpoints("default/f") == 0 && cluster_.All().empty(); }));
  const auto view = operator_.Describe("default/f");
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->function, "default/f");
  EXPECT_THAT(operator_.List(), SizeIs(1));
  EXPECT_THAT(metrics_.Text(), HasSubstr("mayfly_cold_start_seconds"));
}

TEST_F(OperatorTest, GivesGatewaysNoRoutesBeforeItKnowsWhatRuns) {
  std::latch go(1);
  client_.OnDescribe([&](const std::string&) {
    go.wait();
    return absl::OkStatus();
  });
  client_.SetLoaded("unix:/f-1", "default/f", "r1");
  cluster_.Apply(MakeFunction("f"));
  cluster_.Apply(MakeFunction("g"));
  cluster_.AddReplica({.name = "f-1",
                       .function = "default/f",
                       .phase = ReplicaPhase::kRunning,
                       .address = "unix:/f-1",
                       .message = {},
                       .created = {}});
  ASSERT_TRUE(operator_.Start().ok());
  ASSERT_TRUE(Eventually(
      [&] { return link_.Route("default/g").has_value() && link_.Route("default/f").has_value(); }));
  EXPECT_FALSE(link_.open());
  go.count_down();
  ASSERT_TRUE(Eventually([&] { return link_.open(); }));
  EXPECT_EQ(Endpoints("default/f"), 1);
}

TEST_F(OperatorTest, LeasesATriggerToAGatewayThatAsksAndTellsItsTermAfterThat) {
  FunctionObject object = MakeFunction("f");
  auto function = std::make_shared<Function>(*object.function);
  Trigger& trigger = function->spec.triggers.emplace_back();
  trigger.name = "nightly";
  trigger.event.emplace();
  trigger.event->message.set_name("nightly");
  trigger.event->message.mutable_cron()->set_schedule("0 3 * * *");
  object.function = std::move(function);
  cluster_.Apply(object);
  ASSERT_TRUE(operator_.Start().ok());
  ASSERT_TRUE(Eventually([&] { return Endpoints("default/f") == 0; }));
  const auto nightly = [&] { return link_.Route("default/f")->triggers(0); };
  EXPECT_EQ(nightly().owner(), "");
  EXPECT_GT(nightly().epoch(), 0u) << "it must have one";
  v1::GatewayReport report;
  report.set_gateway("gateway-0");
  report.set_instance("i");
  report.set_lease_probe(5);
  report.mutable_leases();
  link_.HandIn(report);
  ASSERT_TRUE(Eventually([&] { return link_.Term("gateway-0").has_value(); }));
  EXPECT_EQ(link_.Term("gateway-0")->probe(), 5u);
  // An operator that has just started waits for the terms of those before it.
  ASSERT_TRUE(Eventually([&] {
    report.set_lease_probe(report.lease_probe() + 1);
    link_.HandIn(report);
    return nightly().owner() == "gateway-0";
  }));
  EXPECT_EQ(nightly().owner_instance(), "i");
}

TEST_F(OperatorTest, SpendsLessThanAMillisecondOfItsOwnOnAColdStart) {
  constexpr int kFunctions = 200;
  for (int i = 0; i < kFunctions; ++i) cluster_.Apply(MakeFunction("f" + std::to_string(i)));
  ASSERT_TRUE(operator_.Start().ok());
  ASSERT_TRUE(Eventually([&] { return Endpoints("default/f199") == 0; }));
  std::vector<double> milliseconds;
  for (int i = 0; i < kFunctions; ++i) {
    const std::string key = "default/f" + std::to_string(i);
    ASSERT_TRUE(Eventually([&] { return Endpoints(key) == 0; }));
    const auto begin = std::chrono::steady_clock::now();
    link_.Report(key, 0, 1);
    ASSERT_TRUE(Eventually([&] { return Endpoints(key) == 1; }));
    milliseconds.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  RecordProperty("p50_ms", std::to_string(milliseconds[kFunctions / 2]));
  RecordProperty("p99_ms", std::to_string(milliseconds[kFunctions * 99 / 100]));
  std::printf("cold start, the operator's own part: p50 %.3f ms, p99 %.3f ms\n", milliseconds[kFunctions / 2],
              milliseconds[kFunctions * 99 / 100]);
  // The promise is 1 ms; the test runs under sanitizers and beside other work, so it fails only on what is far off.
  EXPECT_LT(milliseconds[kFunctions / 2], 20.0);
}

TEST_F(OperatorTest, ServesTenThousandFunctionsOfWhichSomeHang) {
  constexpr int kFunctions = 10'000;
  std::latch go(1);
  client_.OnLoad([&](const std::string&, const v1::LoadRequest& request) {
    if (request.function() == "default/hangs") go.wait();
    return v1::LoadReply();
  });
  for (int i = 0; i < kFunctions; ++i) cluster_.Apply(MakeFunction("f" + std::to_string(i)));
  cluster_.Apply(MakeFunction("hangs"));
  ASSERT_TRUE(operator_.Start().ok());
  // As a gateway does, the demand is told again while it lasts.
  EXPECT_TRUE(Eventually([&] {
    link_.Report("default/hangs", 0, 1);
    link_.Report("default/f9999", 0, 1);
    return Endpoints("default/f9999") == 1 && Endpoints("default/hangs") == 0 &&
           link_.updates() >= kFunctions;
  }));
  go.count_down();
  EXPECT_TRUE(Eventually([&] { return Endpoints("default/hangs") == 1; }));
}

TEST_F(OperatorTest, DecidesARouteConflictByNameWhenBothAreThereFromTheStart) {
  for (const char* name : {"zebra", "alpha", "mid"}) {
    FunctionObject object = MakeFunction(name);
    auto function = std::make_shared<Function>(*object.function);
    Trigger trigger;
    trigger.name = "t";
    trigger.http = HttpTrigger{.host = "", .path = "/same", .methods = {}};
    function->spec.triggers = {trigger};
    object.function = function;
    cluster_.Apply(object);
  }
  ASSERT_TRUE(operator_.Start().ok());
  ASSERT_TRUE(Eventually([&] {
    return !cluster_.Status("default/zebra").conditions.empty() &&
           !cluster_.Status("default/mid").conditions.empty() &&
           !cluster_.Status("default/alpha").conditions.empty();
  }));
  EXPECT_EQ(cluster_.ConditionOf("default/alpha", "TriggersReady").status, ConditionStatus::kTrue);
  EXPECT_EQ(cluster_.ConditionOf("default/mid", "TriggersReady").status, ConditionStatus::kFalse);
  EXPECT_THAT(cluster_.ConditionOf("default/zebra", "TriggersReady").message, HasSubstr("default/alpha"));
}

TEST_F(OperatorTest, TellsGatewaysWhichReplicasOfAPoolStandBy) {
  FakeReplicaPool pool(cluster_);
  Operator with_pool(cluster_, link_, client_, clock_, metrics_, {}, &pool);
  ASSERT_TRUE(with_pool.Start().ok());
  pool.Add("p1");
  EXPECT_THAT(link_.Standby(), ElementsAre("unix:/p1"));
  with_pool.Stop();
  pool.Add("p2");
  EXPECT_THAT(link_.Standby(), ElementsAre("unix:/p1")) << "the next operator says what it finds";
}

TEST_F(OperatorTest, StopsInTheMiddleOfEverything) {
  for (int i = 0; i < 50; ++i) cluster_.Apply(MakeFunction("f" + std::to_string(i)));
  ASSERT_TRUE(operator_.Start().ok());
  for (int i = 0; i < 50; ++i) link_.Report("default/f" + std::to_string(i), 0, 1);
  const auto begin = std::chrono::steady_clock::now();
  operator_.Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  link_.Report("default/f1", 0, 1);
  cluster_.Apply(MakeFunction("late"));
  EXPECT_EQ(Endpoints("default/late"), -1);
}

}  // namespace
}  // namespace mayfly::op
