#include "operator/autoscaler/scaler.h"

#include <algorithm>
#include <functional>
#include <iterator>

namespace mayfly::op {

Scaler::Scaler(const base::Clock& clock, base::Metrics& metrics, ScalingRules rules)
    : clock_(clock), metrics_(metrics), rules_(rules) {}

std::int32_t Scaler::Configure(const std::string& function, const ScalingSpec& spec) {
  const base::MonotonicTime now = clock_.Now();
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[function];
  entry.spec = spec;
  if (spec.min_replicas > 0 || RawDemandLocked(entry) > 0) ActivateLocked(function, entry, now);
  const std::int32_t current = entry.active ? entry.active->load.current : 0;
  const std::int32_t most = std::max(spec.min_replicas, spec.max_replicas);
  const bool waiting = current == 0 && RawDemandLocked(entry) > 0;
  if (!entry.latest || current < spec.min_replicas || current > most || waiting) DecideLocked(entry, now);
  return entry.latest->desired;
}

void Scaler::Adopt(const std::string& function, std::int32_t replicas) {
  if (replicas <= 0) return;
  const base::MonotonicTime now = clock_.Now();
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[function];
  Active& active = ActivateLocked(function, entry, now);
  active.load.current = std::max(active.load.current, replicas);
  active.load.last_active = now;
  if (entry.spec) DecideLocked(entry, now);
}

void Scaler::Forget(const std::string& function) {
  std::lock_guard lock(mutex_);
  entries_.erase(function);
  SliceOf(function).erase(function);
}

std::vector<std::string> Scaler::Observe(const v1::GatewayReport& report) {
  const base::MonotonicTime now = clock_.Now();
  std::vector<std::string> changed;
  std::lock_guard lock(mutex_);
  if (report.leaving()) {
    gateways_.erase(report.gateway());
    for (auto& [function, entry] : entries_) {
      AccrueLocked(entry, now);
      std::erase_if(entry.demand, [&](const GatewayDemand& d) { return d.gateway == report.gateway(); });
    }
    return changed;
  }
  gateways_.insert(report.gateway());
  for (const v1::Demand& demand : report.demand()) {
    Entry& entry = entries_[demand.function()];
    AccrueLocked(entry, now);
    auto from = std::find_if(entry.demand.begin(), entry.demand.end(),
                             [&](const GatewayDemand& known) { return known.gateway == report.gateway(); });
    if (from == entry.demand.end()) {
      entry.demand.push_back({.gateway = report.gateway(), .at = now});
      from = entry.demand.end() - 1;
    }
    const bool took_some = demand.accepted_total() > from->accepted_total;
    from->value = std::uint64_t{demand.busy()} + demand.held();
    from->accepted_total = demand.accepted_total();
    from->at = now;
    if (from->value > 0) ActivateLocked(demand.function(), entry, now);
    if (entry.active) {
      if (from->value > 0 || took_some) entry.active->load.last_active = now;
      if (entry.spec && from->value > 0 && entry.active->load.current == 0 && DecideLocked(entry, now)) {
        changed.push_back(demand.function());
      }
    } else if (!entry.spec) {
      entries_.erase(demand.function());  // a late report of a function that is gone
    }
  }
  return changed;
}

std::vector<std::string> Scaler::Tick() {
  std::vector<std::string> changed;
  for (std::size_t slice = 0; slice < kSlices; ++slice) {
    std::vector<std::string> of_slice = Tick(slice);
    std::move(of_slice.begin(), of_slice.end(), std::back_inserter(changed));
  }
  return changed;
}

std::vector<std::string> Scaler::Tick(std::size_t slice) {
  const base::MonotonicTime now = clock_.Now();
  std::vector<std::string> changed;
  std::lock_guard lock(mutex_);
  std::unordered_set<std::string>& active_here = active_.at(slice);
  for (auto next = active_here.begin(); next != active_here.end();) {
    const auto key = next++;
    Entry& entry = entries_.at(*key);
    Active& active = *entry.active;
    AccrueLocked(entry, now);
    const auto demand = DemandLocked(entry, now);
    const double seconds = std::chrono::duration<double>(now - active.sample_begin).count();
    if (seconds > 0) {
      active.load.history.Add({.at = now, .demand = active.area / seconds, .known = demand.has_value()});
      active.area = 0;
      active.sample_begin = now;
    }
    if (!demand || *demand > 0) active.load.last_active = now;
    if (!entry.spec) {
      // Unless its replicas were adopted a moment ago, and its manifest is about to be told.
      if (demand && *demand == 0 && active.load.current == 0) {
        entries_.erase(*key);
        active_here.erase(key);
      }
      continue;
    }
    if (DecideLocked(entry, now)) changed.push_back(*key);
    if (active.load.current == 0 && demand && *demand == 0) {
      entry.active.reset();
      active_here.erase(key);
    }
  }
  return changed;
}

std::optional<Decision> Scaler::Latest(const std::string& function) const {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(function);
  return found == entries_.end() ? std::nullopt : found->second.latest;
}

std::vector<TimedDecision> Scaler::Recent(const std::string& function) const {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(function);
  if (found == entries_.end()) return {};
  return {found->second.recent.begin(), found->second.recent.end()};
}

std::optional<base::MonotonicTime> Scaler::Activation(const std::string& function) const {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(function);
  if (found == entries_.end() || !found->second.active) return std::nullopt;
  return found->second.active->from_zero;
}

std::size_t Scaler::active() const {
  std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  for (const auto& slice : active_) sum += slice.size();
  return sum;
}

std::unordered_set<std::string>& Scaler::SliceOf(const std::string& function) {
  return active_[std::hash<std::string>()(function) % kSlices];
}

double Scaler::RawDemandLocked(const Entry& entry) const {
  double sum = 0;
  for (const GatewayDemand& demand : entry.demand) sum += static_cast<double>(demand.value);
  return sum;
}

std::optional<double> Scaler::DemandLocked(const Entry& entry, base::MonotonicTime now) const {
  if (gateways_.empty()) return std::nullopt;
  for (const GatewayDemand& demand : entry.demand) {
    if (demand.value > 0 && now - demand.at > kStaleAfter) return std::nullopt;
  }
  return RawDemandLocked(entry);
}

Scaler::Active& Scaler::ActivateLocked(const std::string& function, Entry& entry, base::MonotonicTime now) {
  if (!entry.active) {
    entry.active = std::make_unique<Active>();
    entry.active->sample_begin = now;
    entry.active->area_until = now;
    entry.active->load.last_active = now;
    SliceOf(function).insert(function);
  }
  return *entry.active;
}

bool Scaler::DecideLocked(Entry& entry, base::MonotonicTime now) {
  Load idle;
  Load& load = entry.active ? entry.active->load : idle;
  load.demand = DemandLocked(entry, now);
  Decision decision = Decide(load, *entry.spec, rules_, now);
  const std::int32_t before = load.current;
  if (decision.desired < before) load.last_shrink = now;
  load.current = decision.desired;
  if (entry.active) {
    if (before == 0 && decision.desired > 0) {
      entry.active->from_zero = now;
      entry.active->load.last_active = now;
    } else if (decision.desired == 0) {
      entry.active->from_zero.reset();
    }
  }
  const bool news =
      !entry.latest || entry.latest->desired != decision.desired || entry.latest->reason != decision.reason;
  if (news) {
    metrics_
        .Counter("mayfly_operator_decisions_total",
                 "Scaling decisions that differ from the one before, by reason.",
                 {{"reason", decision.reason}})
        .Increment();
    entry.recent.push_back({.time = clock_.WallNow(), .decision = decision});
    if (entry.recent.size() > kDecisionsKept) entry.recent.pop_front();
  }
  entry.latest = std::move(decision);
  return entry.latest->desired != before;
}

void Scaler::AccrueLocked(Entry& entry, base::MonotonicTime now) {
  if (!entry.active) return;
  Active& active = *entry.active;
  active.area += RawDemandLocked(entry) * std::chrono::duration<double>(now - active.area_until).count();
  active.area_until = now;
}

}  // namespace mayfly::op
