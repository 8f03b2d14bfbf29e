#include "operator/control/control_hub.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"

namespace mayfly::op {
namespace {

constexpr std::chrono::hours kNothingToDo{1};

}  // namespace

ControlHub::ControlHub(const base::Clock& clock, base::Metrics& metrics,
                       std::chrono::milliseconds forget_after)
    : clock_(clock),
      forget_after_(forget_after),
      connected_(metrics.Gauge("mayfly_operator_gateways", "Gateways that are connected.")),
      updates_(metrics.Counter("mayfly_operator_route_updates_total", "Updates of routes sent to gateways.")),
      reports_(metrics.Counter("mayfly_operator_gateway_reports_total", "Reports of gateways taken in.")) {}

void ControlHub::Publish(const v1::RouteUpdate& update) {
  std::vector<std::shared_ptr<ControlStream>> streams;
  {
    const std::lock_guard lock(mutex_);
    epoch_ = update.epoch();
    version_ = update.version();
    for (const v1::FunctionRoute& route : update.upsert()) {
      routes_[route.function()] = std::make_shared<const v1::FunctionRoute>(route);
      for (const auto& stream : streams_) stream->Note(route.function());
    }
    for (const std::string& function : update.remove()) {
      routes_.erase(function);
      for (const auto& stream : streams_) stream->Note(function);
    }
    if (update.has_standby()) {
      standby_ = update.standby();
      for (const auto& stream : streams_) stream->NoteStandby();
    }
    if (!open_) return;
    streams.assign(streams_.begin(), streams_.end());
  }
  for (const auto& stream : streams) stream->Flush();
}

void ControlHub::Open() {
  std::vector<std::shared_ptr<ControlStream>> streams;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(open_, true)) return;
    streams.assign(streams_.begin(), streams_.end());
  }
  for (const auto& stream : streams) stream->Flush();
}

void ControlHub::Answer(const std::string& gateway, std::uint64_t epoch, const v1::LeaseTerm& term) {
  std::shared_ptr<ControlStream> stream;
  {
    const std::lock_guard lock(mutex_);
    epoch_ = epoch;
    const auto found = gateways_.find(gateway);
    if (found != gateways_.end()) stream = found->second.stream.lock();
    if (stream == nullptr || !streams_.contains(stream)) return;
    stream->NoteTerm(term);
  }
  stream->Flush();
}

void ControlHub::OnReport(std::function<void(const v1::GatewayReport&)> report) {
  const std::lock_guard lock(listener_mutex_);
  listener_ = std::move(report);
}

void ControlHub::Add(const std::shared_ptr<ControlStream>& stream) {
  const std::lock_guard lock(mutex_);
  streams_.insert(stream);
  connected_.Set(static_cast<double>(streams_.size()));
}

void ControlHub::Remove(const std::shared_ptr<ControlStream>& stream) {
  const std::lock_guard lock(mutex_);
  streams_.erase(stream);
  connected_.Set(static_cast<double>(streams_.size()));
  for (auto& [name, gateway] : gateways_) {
    if (gateway.stream.lock() != stream) continue;
    gateway.connected = false;
    gateway.forget_at = clock_.Now() + forget_after_;
    base::log::Info("a gateway's stream ended", {{"gateway", name}});
  }
  wake_.notify_all();
}

std::size_t ControlHub::size() const {
  const std::lock_guard lock(mutex_);
  return streams_.size();
}

bool ControlHub::Fill(const std::function<Wanted(bool)>& take, v1::RouteUpdate& update) {
  const std::lock_guard lock(mutex_);
  const Wanted wanted = take(open_);
  const bool any_route = wanted.snapshot || wanted.standby || !wanted.functions.empty();
  if (!any_route && !wanted.term) return false;
  update.set_epoch(epoch_);
  if (wanted.term) *update.mutable_lease() = *wanted.term;
  if (!any_route) return true;
  update.set_version(version_);
  update.set_snapshot(wanted.snapshot);
  if (wanted.standby || (wanted.snapshot && standby_.replicas_size() > 0))
    *update.mutable_standby() = standby_;
  if (wanted.snapshot) {
    for (const auto& [function, route] : routes_) *update.add_upsert() = *route;
  } else {
    for (const std::string& function : wanted.functions) {
      const auto found = routes_.find(function);
      if (found == routes_.end()) {
        update.add_remove(function);
      } else {
        *update.add_upsert() = *found->second;
      }
    }
  }
  updates_.Increment();
  return true;
}

void ControlHub::Report(const std::shared_ptr<ControlStream>& stream, const v1::GatewayReport& report) {
  std::shared_ptr<ControlStream> before;
  {
    const std::lock_guard lock(mutex_);
    if (!streams_.contains(stream)) return;
    if (report.leaving()) {
      gateways_.erase(report.gateway());
    } else {
      const auto [it, is_new] = gateways_.try_emplace(report.gateway());
      Gateway& gateway = it->second;
      std::shared_ptr<ControlStream> known = gateway.stream.lock();
      if (known != stream) {
        if (known != nullptr && streams_.contains(known)) before = std::move(known);
        gateway.stream = stream;
        base::log::Info(is_new ? "a gateway connected" : "a gateway connected again",
                        {{"gateway", report.gateway()}});
      }
      gateway.connected = true;
    }
  }
  reports_.Increment();
  if (before != nullptr) before->Supersede();
  Tell(report);
}

void ControlHub::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::vector<std::string> forgotten;
    {
      std::unique_lock lock(mutex_);
      const base::MonotonicTime now = clock_.Now();
      base::MonotonicTime next = now + kNothingToDo;
      for (auto it = gateways_.begin(); it != gateways_.end();) {
        const Gateway& gateway = it->second;
        if (!gateway.connected && gateway.forget_at <= now) {
          forgotten.push_back(it->first);
          it = gateways_.erase(it);
          continue;
        }
        if (!gateway.connected) next = std::min(next, gateway.forget_at);
        ++it;
      }
      if (forgotten.empty()) {
        // A Remove() that comes while this waits must not go unheard.
        std::size_t away = Away();
        clock_.WaitUntil(lock, wake_, stop, next, [&] { return Away() != away; });
        continue;
      }
    }
    for (const std::string& name : forgotten) {
      base::log::Warn("a gateway did not come back; what it wanted counts no more", {{"gateway", name}});
      v1::GatewayReport report;
      report.set_gateway(name);
      report.set_leaving(true);
      Tell(report);
    }
  }
}

std::size_t ControlHub::Away() const {
  return static_cast<std::size_t>(std::count_if(gateways_.begin(), gateways_.end(),
                                                [](const auto& entry) { return !entry.second.connected; }));
}

void ControlHub::Tell(const v1::GatewayReport& report) {
  std::function<void(const v1::GatewayReport&)> listener;
  {
    const std::lock_guard lock(listener_mutex_);
    listener = listener_;
  }
  if (listener) listener(report);
}

}  // namespace mayfly::op
