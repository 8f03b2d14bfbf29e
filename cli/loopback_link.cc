#include "cli/loopback_link.h"

#include <utility>

namespace mayfly::cli {

void LoopbackLink::Connect(std::function<void(const v1::RouteUpdate&)> apply) {
  const std::lock_guard lock(publish_mutex_);
  apply_ = std::move(apply);
}

void LoopbackLink::Disconnect() {
  const std::lock_guard lock(publish_mutex_);
  apply_ = nullptr;
}

void LoopbackLink::Report(const v1::GatewayReport& report) {
  std::function<void(const v1::GatewayReport&)> listener;
  {
    const std::lock_guard lock(report_mutex_);
    listener = report_;
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

void LoopbackLink::OnReport(std::function<void(const v1::GatewayReport&)> report) {
  const std::lock_guard lock(report_mutex_);
  report_ = std::move(report);
}

bool LoopbackLink::Has(const std::string& function) const {
  const std::lock_guard lock(publish_mutex_);
  return routed_.contains(function);
}

}  // namespace mayfly::cli
