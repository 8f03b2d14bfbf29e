// A Rig is a reconciler with fakes around it, driven step by step on fake time.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "operator/control/testing/fake_gateway_link.h"
#include "operator/control/testing/fake_replica_client.h"
#include "operator/controller/testing/fake_cluster.h"
#include "operator/controller/testing/fake_replica_pool.h"
#include "operator/reconcilers/function_reconciler.h"

namespace mayfly::op {

class Rig {
 public:
  static constexpr const char* kKey = "default/hello";

  explicit Rig(int concurrency = 10) : concurrency_(concurrency) {
    link_.OnReport([this](const v1::GatewayReport& report) {
      for (const std::string& key : scaler_.Observe(report)) queue_.Add(key);
      for (const std::string& key : triggers_.Observe(report)) queue_.Add(key);
      for (const Meter::Due& due : meter_.Observe(report)) {
        queue_.AddAfter(due.function, due.at - clock_.Now());
      }
      routes_.Observe(report);
      reconciler_.OnReport(report);
    });
    EXPECT_TRUE(cluster_.Watch([this](const std::string& key) { queue_.Add(key); }).ok());
  }
  ~Rig() {
    cluster_.Unwatch();
    link_.OnReport(nullptr);
    client_.Cancel();
  }

  // A function named `name` with one route, /name.
  FunctionObject Hello(const std::string& sha256 = "aa", const std::string& name = "hello") const {
    auto function = std::make_shared<Function>();
    function->name = name;
    function->spec.concurrency = concurrency_;
    function->spec.timeout = std::chrono::seconds(30);
    Trigger trigger;
    trigger.name = "http";
    trigger.http = HttpTrigger{.host = "", .path = "/" + name, .methods = {}};
    function->spec.triggers.push_back(trigger);
    FunctionObject object;
    object.function = std::move(function);
    object.artifact_sha256 = sha256;
    object.artifact_path = "/artifacts/" + sha256 + ".so";
    return object;
  }
  FunctionObject Hello(const std::string& sha256, std::int32_t min_replicas,
                       std::int32_t max_replicas) const {
    FunctionObject object = Hello(sha256);
    auto function = std::make_shared<Function>(*object.function);
    function->spec.scaling.min_replicas = min_replicas;
    function->spec.scaling.max_replicas = max_replicas;
    object.function = std::move(function);
    return object;
  }

  // Reconciles until nothing is due and no call is in flight.
  void Settle() {
    for (int i = 0; i < 1000; ++i) {
      bool worked = false;
      while (controller_.RunOne()) worked = true;
      ASSERT_TRUE(loads_.WaitIdle(std::chrono::seconds(20)));
      ASSERT_TRUE(drains_.WaitIdle(std::chrono::seconds(20)));
      ASSERT_TRUE(probes_.WaitIdle(std::chrono::seconds(20)));
      if (!worked && queue_.depth() == 0) return;
    }
    FAIL() << "the reconciler does not come to rest";
  }
  // Reconciles what is due without waiting for calls.
  void Step() {
    while (controller_.RunOne()) {
    }
  }
  // Lets `seconds` pass, tick by tick; what becomes due on the way is done.
  void Pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      clock_.Advance(std::chrono::seconds(1));
      for (const std::string& key : scaler_.Tick()) queue_.Add(key);
      Settle();
    }
  }
  // A request waits: one replica is there and serves.
  void ServeOne() {
    link_.Report(kKey, 0, 1);
    Settle();
    cluster_.RunAll();
    Settle();
    link_.Report(kKey, 1, 0);
    Settle();
  }

  // A gateway says how many invocations of kKey, of 10 ms each, it has counted since it started.
  void ReportUsage(std::uint64_t invocations) {
    v1::GatewayReport report;
    report.set_gateway("gateway-0");
    report.set_instance("i1");
    v1::Demand& demand = *report.add_demand();
    demand.set_function(kKey);
    v1::TriggerUsage& usage = *demand.add_usage();
    usage.set_invocations(invocations);
    usage.set_wall_us(invocations * 10'000);
    link_.HandIn(report);
  }

  int endpoints(const std::string& key = kKey) const {
    const auto route = link_.Route(key);
    return route ? route->endpoints_size() : -1;
  }

  const int concurrency_;
  base::FakeClock clock_;
  base::Metrics metrics_;
  FakeCluster cluster_;
  FakeReplicaPool pool_{cluster_};  // empty, and as if there were none
  FakeGatewayLink link_;
  FakeReplicaClient client_;
  WorkQueue queue_{clock_};
  Scaler scaler_{clock_, metrics_, ScalingRules()};
  TriggerHealth triggers_;
  Meter meter_{clock_};
  RouteTable routes_{link_, 1, [this](const std::string& key) { queue_.Add(key); }};
  Executor loads_{"load", 4, 1000};
  Executor drains_{"drain", 4, 1000};
  Executor probes_{"probe", 4, 1000};
  FunctionReconciler reconciler_{{.cluster = cluster_,
                                  .replicas = client_,
                                  .routes = routes_,
                                  .scaler = scaler_,
                                  .triggers = triggers_,
                                  .meter = meter_,
                                  .queue = queue_,
                                  .loads = loads_,
                                  .drains = drains_,
                                  .probes = probes_,
                                  .clock = clock_,
                                  .metrics = metrics_,
                                  .pool = &pool_},
                                 {.base_url = "http://127.0.0.1:8080"}};
  Controller controller_{"op",   "function",
                         queue_, metrics_,
                         clock_, [this](const std::string& key) { return reconciler_.Reconcile(key); }};
};

}  // namespace mayfly::op
