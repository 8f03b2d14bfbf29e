// The Operator is the brain: it keeps every function of a Cluster in the state that its manifest and its demand ask for.
//
// This is the list of its parts, and the order in which they start and stop. `mayfly up` and mayfly-operator are this
// class with different surroundings. It is never in the path of a request.
//
// Start() and Stop() belong to the owner's thread; Describe() and List() may be called from any.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/gate.h"
#include "base/metrics.h"
#include "base/status.h"
#include "operator/autoscaler/scaler.h"
#include "operator/control/gateway_link.h"
#include "operator/control/replica_client.h"
#include "operator/controller/cluster.h"
#include "operator/controller/controller.h"
#include "operator/controller/executor.h"
#include "operator/controller/replica_pool.h"
#include "operator/controller/work_queue.h"
#include "operator/leases/trigger_leases.h"
#include "operator/metering/meter.h"
#include "operator/reconcilers/function_reconciler.h"
#include "operator/reconcilers/lease_publisher.h"
#include "operator/reconcilers/route_table.h"

namespace mayfly::op {

struct OperatorOptions {
  ReconcilerOptions reconciler;
  ScalingRules scaling;
  LeaseOptions leases{};  // but the epoch, which is the reconciler's
  // Whether this operator leads at this moment, by its own clock; empty: always.
  std::function<bool()> leads{};
  int workers = 2;  // functions reconciled at once
  // How long gateways may go on with an earlier operator's routes while what runs is being understood.
  std::chrono::milliseconds settle_timeout{20'000};
};

class Operator {
 public:
  // All that is referred to must outlive the operator. `pool` is asked for replicas before new ones are made; null: there
  // is none.
  Operator(Cluster& cluster, GatewayLink& gateways, ReplicaClient& replicas, const base::Clock& clock,
           base::Metrics& metrics, OperatorOptions options, ReplicaPool* pool = nullptr);
  // Stops.
  ~Operator();

  // Watches the cluster, and reconciles from then on. Replicas that run already are adopted.
  absl::Status Start();
  // Returns once nothing of the operator runs any more, within a second. Replicas are left as they are. Final and idempotent.
  void Stop();

  // Who is called, on a gateway's thread, with each function that a report tells something of; must not block. Call before
  // Start().
  void OnDemand(std::function<void(const std::string&)> told) { on_demand_ = std::move(told); }
  // What decisions are made from.
  const Scaler& scaler() const { return scaler_; }

  // What is known of a function: status, replicas, recent decisions with what they were made from, events.
  std::optional<FunctionView> Describe(const std::string& function) const {
    return reconciler_.View(function);
  }
  // The same of all, in the order of their keys.
  std::vector<FunctionView> List() const { return reconciler_.Views(); }

 private:
  // Where reports come in. It outlives the operator in the link's callback, so that a report which is under way when
  // the operator stops finds a closed gate.
  struct Inlet {
    base::Gate gate;
    Operator* operator_;
  };

  void OnReport(const v1::GatewayReport& report);
  // Claims the routes of all functions in the order of their keys: who has a route that two want does not depend on
  // which worker is faster.
  void ClaimRoutes();
  // `function` was reconciled. Gateways get the routes once every function that was there at the start is understood.
  void Settle(const std::string& function);
  // Does so once it has taken too long.
  void SettleLate();

  Cluster& cluster_;
  GatewayLink& gateways_;
  ReplicaClient& replicas_;
  const base::Clock& clock_;
  const OperatorOptions options_;
  ReplicaPool* const pool_;

  std::function<void(const std::string&)> on_demand_;
  const std::shared_ptr<Inlet> inlet_;
  WorkQueue queue_;
  Scaler scaler_;
  TriggerHealth triggers_;
  Meter meter_;
  TriggerLeases leases_;
  RouteTable routes_;
  LeasePublisher lease_publisher_;
  Executor loads_;
  Executor drains_;
  Executor probes_;
  FunctionReconciler reconciler_;
  Controller controller_;
  std::mutex settling_mutex_;
  std::set<std::string> settling_;  // guarded by settling_mutex_
  base::MonotonicTime settle_by_{};
  std::jthread ticker_;
  bool stopped_ = false;
};

}  // namespace mayfly::op
