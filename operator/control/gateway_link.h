// A GatewayLink is the operator's side of the control stream: routes down, demand up.
//
// Publish() may be called from any thread. `report` is called on the link's thread, or on the thread of
// whoever hands the report in; it must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "mayfly/v1/control.pb.h"

namespace mayfly::op {

class GatewayLink {
 public:
  virtual ~GatewayLink() = default;

  // Sends `update` to every gateway; one that connects later gets a snapshot of all that was published.
  virtual void Publish(const v1::RouteUpdate& update) = 0;

  // What was published is complete from now on. Gateways of an earlier operator get nothing before that: they go on
  // with the routes they have instead of losing those that this operator has not got round to. Idempotent.
  virtual void Open() = 0;

  // Tells `gateway` its term, after all that was published before; also before Open(). One that is not connected hears nothing.
  virtual void Answer(const std::string& gateway, std::uint64_t epoch, const v1::LeaseTerm& term) = 0;

  // Whom reports are handed to from now on; nobody if null. A report that is under way may still reach the one before.
  // REQUIRES: called before the first Publish(), and with null before `report`'s owner goes.
  virtual void OnReport(std::function<void(const v1::GatewayReport&)> report) = 0;
};

}  // namespace mayfly::op
