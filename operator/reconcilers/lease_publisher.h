// A LeasePublisher tells gateways whose triggers are, and until when.
//
// It is not the reconciler's business: a trigger goes to another gateway within moments, whatever the API server does, and
// nobody who hands in a report waits for routes to be published. First the routes that have changed, then the terms that were
// asked for; see TriggerLeases. While this operator does not lead by its own clock, none of both.
//
// One thread, `op-leases`, from Start() to Stop().
#pragma once

#include <functional>
#include <thread>

#include "operator/control/gateway_link.h"
#include "operator/leases/trigger_leases.h"
#include "operator/reconcilers/route_table.h"

namespace mayfly::op {

class LeasePublisher {
 public:
  // All must outlive it. `leads` may be empty: always.
  LeasePublisher(TriggerLeases& leases, RouteTable& routes, GatewayLink& link, std::function<bool()> leads)
      : leases_(leases), routes_(routes), link_(link), leads_(std::move(leads)) {}
  // Stops.
  ~LeasePublisher() { Stop(); }

  void Start();
  // Idempotent.
  void Stop();

 private:
  TriggerLeases& leases_;
  RouteTable& routes_;
  GatewayLink& link_;
  const std::function<bool()> leads_;
  std::jthread thread_;
};

}  // namespace mayfly::op
