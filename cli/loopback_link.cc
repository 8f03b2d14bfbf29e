#include "cli/loopback_link.h"

#include <utility>

namespace mayfly::cli {

void LoopbackLink::Connect(std::function<void(const v1::RouteUpdate&)> apply,
                           std::function<void()> complete) {
  const std::lock_guard lock(publish_mutex_);
  apply_ = std::move(apply);
  complete_ = std::move(complete);
}

void LoopbackLink::Disconnect() {
  const std::lock_guard lock(publish_mutex_);
  apply_ = nullptr;
  complete_ = nullptr;
}

void LoopbackLink::Report(const v1::GatewayReport& report) {
  std::function<void(const v1::GatewayReport&)> listener;
  {
    const std::lock_guard lock(report_mutex_);
    listener = report_;
    for (const v1::TriggerReport& trigger : report.triggers()) {
      const std::pair key(trigger.function(), trigger.trigger());
      if (trigger.gone()) {
        gets_events_.erase(key);
      } else {
        gets_events_[key] = trigger.problem().empty();
      }
    }
  }
  if (listener) listener(report);
}

void LoopbackLink::Publish(const v1::RouteUpdate& update) {
  const std::lock_guard lock(publish_mutex_);
  if (!apply_) return;
  apply_(update);
  if (update.snapshot()) routed_.clear();
  for (const v1::FunctionRoute& route : update.upsert()) routed_.insert(route.function());
  for (const std::string& function : update.remove()) routed_.erase(function);
}

void LoopbackLink::Open() {
  const std::lock_guard lock(publish_mutex_);
  if (complete_) complete_();
}

void LoopbackLink::Answer(const std::string&, std::uint64_t epoch, const v1::LeaseTerm& term) {
  v1::RouteUpdate update;
  update.set_epoch(epoch);
  *update.mutable_lease() = term;
  const std::lock_guard lock(publish_mutex_);
  if (apply_) apply_(update);
}

void LoopbackLink::OnReport(std::function<void(const v1::GatewayReport&)> report) {
  const std::lock_guard lock(report_mutex_);
  report_ = std::move(report);
}

bool LoopbackLink::Has(const std::string& function) const {
  const std::lock_guard lock(publish_mutex_);
  return routed_.contains(function);
}

std::optional<bool> LoopbackLink::GetsEvents(const std::string& function, const std::string& trigger) const {
  const std::lock_guard lock(report_mutex_);
  const auto found = gets_events_.find({function, trigger});
  if (found == gets_events_.end()) return std::nullopt;
  return found->second;
}

}  // namespace mayfly::cli
