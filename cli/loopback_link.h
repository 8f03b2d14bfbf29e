// A LoopbackLink is the control stream of one process: the operator's routes go straight to the gateway beside it, and
// the gateway's reports straight back.
//
// Thread-safe. Updates reach the gateway one at a time, in the order of their Publish().
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "operator/control/gateway_link.h"

namespace mayfly::cli {

class LoopbackLink final : public op::GatewayLink {
 public:
  // The gateway's side: `apply` gets every update, and `complete` hears once that all that was there at the start has its
  // routes. Call before the operator starts.
  void Connect(std::function<void(const v1::RouteUpdate&)> apply, std::function<void()> complete);
  // Nothing reaches the gateway any more once it has returned.
  void Disconnect();
  // A report of the gateway's.
  void Report(const v1::GatewayReport& report);

  void Publish(const v1::RouteUpdate& update) override;
  void Open() override;
  void Answer(const std::string& gateway, std::uint64_t epoch, const v1::LeaseTerm& term) override;
  void OnReport(std::function<void(const v1::GatewayReport&)> report) override;

  // Whether the gateway has a route for `function`.
  bool Has(const std::string& function) const;
  // Whether a trigger gets events, as the gateway said last; nothing while it has said nothing of it.
  std::optional<bool> GetsEvents(const std::string& function, const std::string& trigger) const;

 private:
  mutable std::mutex publish_mutex_;                   // held while the gateway applies an update
  std::function<void(const v1::RouteUpdate&)> apply_;  // guarded by publish_mutex_
  std::function<void()> complete_;                     // guarded by publish_mutex_
  std::set<std::string> routed_;                       // guarded by publish_mutex_

  mutable std::mutex report_mutex_;
  std::function<void(const v1::GatewayReport&)> report_;  // guarded by report_mutex_
  // By function and trigger.
  std::map<std::pair<std::string, std::string>, bool> gets_events_;  // guarded by report_mutex_
};

}  // namespace mayfly::cli
