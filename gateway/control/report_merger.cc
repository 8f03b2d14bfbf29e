#include "gateway/control/report_merger.h"

#include <utility>

namespace mayfly::gateway {

ReportMerger::ReportMerger(const std::string& gateway) { next_.set_gateway(gateway); }

void ReportMerger::Add(const v1::GatewayReport& report) {
  for (const v1::Demand& demand : report.demand()) {
    news_[demand.function()] = demand;
    if (demand.busy() + demand.held() != 0) {
      wanted_[demand.function()] = demand;
    } else {
      wanted_.erase(demand.function());
    }
  }
  next_.set_confirmed_epoch(report.confirmed_epoch());
  next_.set_confirmed_version(report.confirmed_version());
  *next_.mutable_unreachable_replicas() = report.unreachable_replicas();
  pending_ = true;
}

void ReportMerger::StartAnew() {
  for (const auto& [function, demand] : wanted_) news_[function] = demand;
  pending_ = true;
}

v1::GatewayReport ReportMerger::Take() {
  v1::GatewayReport report = next_;
  for (auto& [function, demand] : news_) *report.add_demand() = std::move(demand);
  news_.clear();
  pending_ = false;
  return report;
}

}  // namespace mayfly::gateway
