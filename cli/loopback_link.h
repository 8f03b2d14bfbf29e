// A LoopbackLink is the control stream of one process: the operator's routes go straight to the gateway beside it, and
// the gateway's reports straight back.
//
// Thread-safe. Updates reach the gateway one at a time, in the order of their Publish().
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>

#include "operator/control/gateway_link.h"

namespace mayfly::cli {

class LoopbackLink final : public op::GatewayLink {
 public:
  // The gateway's side: `apply` gets every update. Call before the operator starts.
  void Connect(std::function<void(const v1::RouteUpdate&)> apply);
  // Nothing reaches the gateway any more once it has returned.
  void Disconnect();
  // A report of the gateway's.
  void Report(const v1::GatewayReport& report);

  void Publish(const v1::RouteUpdate& update) override;
  // The gateway beside it has no routes of an earlier operator.
  void Open() override {}
  void OnReport(std::function<void(const v1::GatewayReport&)> report) override;

  // Whether the gateway has a route for `function`.
  bool Has(const std::string& function) const;

 private:
  mutable std::mutex publish_mutex_;                   // held while the gateway applies an update
  std::function<void(const v1::RouteUpdate&)> apply_;  // guarded by publish_mutex_
  std::set<std::string> routed_;                       // guarded by publish_mutex_

  std::mutex report_mutex_;
  std::function<void(const v1::GatewayReport&)> report_;  // guarded by report_mutex_
};

}  // namespace mayfly::cli
