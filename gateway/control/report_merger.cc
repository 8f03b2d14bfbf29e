#include "gateway/control/report_merger.h"

#include <string_view>
#include <unordered_set>
#include <utility>

namespace mayfly::gateway {
namespace {

bool Wants(const v1::Demand& demand) { return demand.busy() + demand.held() != 0; }

}  // namespace

ReportMerger::ReportMerger(const std::string& gateway) { next_.set_gateway(gateway); }

void ReportMerger::Add(const v1::GatewayReport& report) {
  for (const v1::Demand& demand : report.demand()) {
    news_[demand.function()] = demand;
    if (Wants(demand) || demand.usage_size() > 0) {
      wanted_[demand.function()] = demand;
    } else {
      wanted_.erase(demand.function());
    }
  }
  for (const v1::TriggerReport& trigger : report.triggers()) {
    const std::pair key(trigger.function(), trigger.trigger());
    trigger_news_[key] = trigger;
    if (trigger.gone()) {
      triggers_.erase(key);
    } else {
      triggers_[key] = trigger;
    }
  }
  if (report.has_leases()) {
    leases_ = report.leases();
    probe_ = report.lease_probe();
    has_leases_ = leases_news_ = true;
  }
  if (!report.instance().empty()) next_.set_instance(report.instance());
  next_.set_confirmed_epoch(report.confirmed_epoch());
  next_.set_confirmed_version(report.confirmed_version());
  *next_.mutable_unreachable_replicas() = report.unreachable_replicas();
  pending_ = true;
}

void ReportMerger::StartAnew() {
  for (const auto& [function, demand] : wanted_) news_[function] = demand;
  for (const auto& [key, trigger] : triggers_) trigger_news_[key] = trigger;
  leases_news_ = has_leases_;
  pending_ = true;
}

void ReportMerger::Forget(const std::string& function) {
  const auto found = wanted_.find(function);
  if (found != wanted_.end() && !Wants(found->second)) wanted_.erase(found);
}

void ReportMerger::KeepOnly(const v1::RouteUpdate& update) {
  std::unordered_set<std::string_view> kept;
  for (const v1::FunctionRoute& route : update.upsert()) kept.insert(route.function());
  std::erase_if(wanted_,
                [&](const auto& entry) { return !kept.contains(entry.first) && !Wants(entry.second); });
}

v1::GatewayReport ReportMerger::Take(bool all) {
  v1::GatewayReport report = next_;
  while (!news_.empty() && (all || static_cast<std::size_t>(report.demand_size()) < kFunctionsPerReport)) {
    *report.add_demand() = std::move(news_.extract(news_.begin()).mapped());
  }
  while (!trigger_news_.empty() &&
         (all || leases_news_ || static_cast<std::size_t>(report.triggers_size()) < kFunctionsPerReport)) {
    *report.add_triggers() = std::move(trigger_news_.extract(trigger_news_.begin()).mapped());
  }
  // In the same report as, and never before, what is told of the triggers.
  if (std::exchange(leases_news_, false)) {
    *report.mutable_leases() = leases_;
    report.set_lease_probe(probe_);
  }
  pending_ = !news_.empty() || !trigger_news_.empty();
  return report;
}

}  // namespace mayfly::gateway
