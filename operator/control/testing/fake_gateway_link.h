// A FakeGatewayLink keeps what was published, and reports what the test says.
//
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "operator/control/gateway_link.h"

namespace mayfly::op {

class FakeGatewayLink final : public GatewayLink {
 public:
  void Publish(const v1::RouteUpdate& update) override {
    bool confirm = false;
    {
      std::lock_guard lock(mutex_);
      in_order_ = in_order_ && update.version() > version_;
      version_ = update.version();
      epoch_ = update.epoch();
      ++updates_;
      for (const v1::FunctionRoute& route : update.upsert()) routes_[route.function()] = route;
      for (const std::string& function : update.remove()) routes_.erase(function);
      if (update.has_standby()) standby_ = update.standby();
      confirm = confirm_at_once_;
    }
    if (confirm) Confirm();
  }
  void Open() override {
    std::lock_guard lock(mutex_);
    open_ = true;
  }
  void Answer(const std::string& gateway, std::uint64_t, const v1::LeaseTerm& term) override {
    std::lock_guard lock(mutex_);
    terms_[gateway] = term;
  }
  void OnReport(std::function<void(const v1::GatewayReport&)> report) override {
    std::lock_guard lock(report_mutex_);
    report_ = std::move(report);
  }

  // Each update is confirmed from within Publish().
  void ConfirmAtOnce(bool confirm) {
    std::lock_guard lock(mutex_);
    confirm_at_once_ = confirm;
  }
  // Confirms all that was published.
  void Confirm() { Report("", 0, 0); }
  // Reports demand of `function` (none if ""), and confirms all that was published.
  void Report(const std::string& function, std::uint32_t busy, std::uint32_t held,
              const std::vector<std::string>& unreachable = {}) {
    v1::GatewayReport report = WithDemand(function, busy, held);
    report.set_confirmed_version(version());
    report.set_confirmed_epoch(epoch());
    for (const std::string& replica : unreachable) report.add_unreachable_replicas(replica);
    HandIn(report);
  }
  // Demand, without confirming anything.
  void ReportDemandOnly(const std::string& function, std::uint32_t busy, std::uint32_t held) {
    HandIn(WithDemand(function, busy, held));
  }
  // Hands in `report` as if it came from a gateway.
  void HandIn(const v1::GatewayReport& report) {
    std::function<void(const v1::GatewayReport&)> call;
    {
      std::lock_guard lock(report_mutex_);
      call = report_;
    }
    if (call) call(report);
  }

  std::optional<v1::FunctionRoute> Route(const std::string& function) const {
    std::lock_guard lock(mutex_);
    const auto found = routes_.find(function);
    if (found == routes_.end()) return std::nullopt;
    return found->second;
  }
  // The term that a gateway was told last.
  std::optional<v1::LeaseTerm> Term(const std::string& gateway) const {
    std::lock_guard lock(mutex_);
    const auto found = terms_.find(gateway);
    if (found == terms_.end()) return std::nullopt;
    return found->second;
  }
  // The addresses of what stands by.
  std::vector<std::string> Standby() const {
    std::lock_guard lock(mutex_);
    std::vector<std::string> addresses;
    for (const v1::StandbyReplica& replica : standby_.replicas()) addresses.push_back(replica.address());
    return addresses;
  }
  std::uint64_t version() const {
    std::lock_guard lock(mutex_);
    return version_;
  }
  std::uint64_t epoch() const {
    std::lock_guard lock(mutex_);
    return epoch_;
  }
  bool open() const {
    std::lock_guard lock(mutex_);
    return open_;
  }
  int updates() const {
    std::lock_guard lock(mutex_);
    return updates_;
  }
  bool in_order() const {
    std::lock_guard lock(mutex_);
    return in_order_;
  }

 private:
  static v1::GatewayReport WithDemand(const std::string& function, std::uint32_t busy, std::uint32_t held) {
    v1::GatewayReport report;
    report.set_gateway("gateway-0");
    if (function.empty()) return report;
    v1::Demand& demand = *report.add_demand();
    demand.set_function(function);
    demand.set_busy(busy);
    demand.set_held(held);
    return report;
  }

  std::mutex report_mutex_;
  std::function<void(const v1::GatewayReport&)> report_;  // guarded by report_mutex_

  mutable std::mutex mutex_;
  // All guarded by mutex_:
  std::map<std::string, v1::FunctionRoute> routes_;
  v1::Standby standby_;
  std::map<std::string, v1::LeaseTerm> terms_;
  std::uint64_t version_ = 0;
  std::uint64_t epoch_ = 0;
  bool open_ = false;
  int updates_ = 0;
  bool in_order_ = true;
  bool confirm_at_once_ = false;
};

}  // namespace mayfly::op
