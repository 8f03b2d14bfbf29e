#include "operator/autoscaler/scaler.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>

namespace mayfly::op {
namespace {

std::uint64_t Waiting(const v1::TriggerReport& report) {
  const std::uint64_t backlog = report.kind() == v1::TriggerReport::BACKLOG_VALUE ? report.backlog() : 0;
  return std::max(backlog, report.unsettled());
}

// How much a counter has grown; one that is smaller was begun anew.
std::uint64_t Grown(std::uint64_t before, std::uint64_t now) { return now >= before ? now - before : now; }

}  // namespace

Scaler::Scaler(const base::Clock& clock, base::Metrics& metrics, ScalingRules rules)
    : clock_(clock), metrics_(metrics), rules_(rules) {}

std::int32_t Scaler::Configure(const std::string& function, const ScalingSpec& spec) {
  const base::MonotonicTime now = clock_.Now();
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[function];
  entry.spec = spec;
  entry.floor = {.holds_until = absl::InfinitePast()};
  if (spec.schedules.empty()) {
    scheduled_[SliceOf(function)].erase(function);
  } else {
    scheduled_[SliceOf(function)].insert(function);
  }
  const std::int32_t most = std::max(spec.min_replicas, spec.max_replicas);
  const std::int32_t least = std::max(spec.min_replicas, std::min(FloorLocked(entry).replicas, most));
  const bool events = std::any_of(entry.triggers.begin(), entry.triggers.end(),
                                  [](const GatewayTrigger& from) { return Waiting(from.report) > 0; });
  if (least > 0 || RawDemandLocked(entry) > 0 || events) ActivateLocked(function, entry, now);
  const std::int32_t current = entry.active ? entry.active->load.current : 0;
  const bool waiting = current == 0 && (RawDemandLocked(entry) > 0 || events);
  if (!entry.latest || current < least || current > most || waiting) DecideLocked(entry, now);
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
  active_[SliceOf(function)].erase(function);
  scheduled_[SliceOf(function)].erase(function);
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
      std::erase_if(entry.triggers, [&](const GatewayTrigger& t) { return t.gateway == report.gateway(); });
    }
    return changed;
  }
  gateways_.insert(report.gateway());
  for (const v1::Demand& demand : report.demand()) {
    if (ObserveDemandLocked(report.gateway(), demand, now)) changed.push_back(demand.function());
  }
  for (const v1::TriggerReport& trigger : report.triggers()) {
    if (ObserveTriggerLocked(report.gateway(), trigger, now)) changed.push_back(trigger.function());
  }
  return changed;
}

bool Scaler::ObserveDemandLocked(const std::string& gateway, const v1::Demand& demand,
                                 base::MonotonicTime now) {
  Entry& entry = entries_[demand.function()];
  AccrueLocked(entry, now);
  auto from = std::find_if(entry.demand.begin(), entry.demand.end(),
                           [&](const GatewayDemand& known) { return known.gateway == gateway; });
  const bool is_new = from == entry.demand.end();
  if (is_new) from = entry.demand.insert(from, {.gateway = gateway, .at = now});
  const GatewayDemand before = *from;
  from->busy = demand.busy();
  from->held = demand.held();
  from->accepted_total = demand.accepted_total();
  from->invocations = from->wall_us = 0;
  for (const v1::TriggerUsage& usage : demand.usage()) {
    from->invocations += usage.invocations();
    from->wall_us += usage.wall_us();
  }
  from->at = now;
  if (from->all() > 0) ActivateLocked(demand.function(), entry, now);
  if (!entry.active) {
    if (!entry.spec) entries_.erase(demand.function());  // a late report of a function that is gone
    return false;
  }
  Active& active = *entry.active;
  // What came before the first report is not known; a process that was started anew counts anew.
  const std::uint64_t arrived = is_new ? from->all() : Grown(before.accepted_total, from->accepted_total);
  active.arrived += arrived;
  if (!is_new) {
    active.ended += Grown(before.invocations, from->invocations);
    active.ended_seconds += 1e-6 * static_cast<double>(Grown(before.wall_us, from->wall_us));
  }
  if (from->all() > 0 || arrived > 0) active.load.last_active = now;
  return entry.spec && from->all() > 0 && active.load.current == 0 && DecideLocked(entry, now);
}

bool Scaler::ObserveTriggerLocked(const std::string& gateway, const v1::TriggerReport& report,
                                  base::MonotonicTime now) {
  Entry& entry = entries_[report.function()];
  std::erase_if(entry.triggers, [&](const GatewayTrigger& known) {
    return known.gateway == gateway && known.report.trigger() == report.trigger();
  });
  if (!report.gone()) entry.triggers.push_back({gateway, report, now});
  if (!entry.spec && !entry.active && report.gone() && entry.triggers.empty() && entry.demand.empty()) {
    entries_.erase(report.function());
    return false;
  }
  if (report.gone() || Waiting(report) == 0) return false;
  Active& active = ActivateLocked(report.function(), entry, now);
  active.load.last_active = now;
  return entry.spec && active.load.current == 0 && DecideLocked(entry, now);
}

std::vector<TriggerLoad> Scaler::TriggersLocked(const Entry& entry, base::MonotonicTime now) const {
  std::map<std::string, TriggerLoad> loads;
  std::map<std::string, std::uint64_t> unsettled;
  for (const GatewayTrigger& from : entry.triggers) {
    const v1::TriggerReport& report = from.report;
    TriggerLoad& load = loads[report.trigger()];
    load.trigger = report.trigger();
    load.waiting = std::max(load.waiting, Waiting(report));
    load.waiting = std::max(load.waiting, unsettled[report.trigger()] += report.unsettled());
    const bool silent = now - from.at > kStaleAfter;
    if (report.kind() != v1::TriggerReport::BACKLOG_VALUE) {
      load.known = false;
      load.why_unknown = report.problem();
    } else if (silent && Waiting(report) > 0) {
      load.known = false;
      load.why_unknown = "gateway " + from.gateway + " has not told for a while";
    }
  }
  std::vector<TriggerLoad> list;
  list.reserve(loads.size());
  for (auto& [name, load] : loads) list.push_back(std::move(load));
  return list;
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
  for (const std::string& function : scheduled_.at(slice)) {
    Entry& entry = entries_.at(function);
    if (!entry.active && FloorLocked(entry).replicas > 0) ActivateLocked(function, entry, now);
  }
  for (auto next = active_here.begin(); next != active_here.end();) {
    const auto key = next++;
    Entry& entry = entries_.at(*key);
    Active& active = *entry.active;
    AccrueLocked(entry, now);
    const auto demand = DemandLocked(entry, now);
    CloseSampleLocked(entry, demand.has_value(), now);
    active.load.triggers = TriggersLocked(entry, now);
    if (!demand || *demand > 0 || active.load.events()) active.load.last_active = now;
    if (!entry.spec) {
      // Unless its replicas were adopted a moment ago, and its manifest is about to be told.
      if (demand && *demand == 0 && active.load.current == 0 && entry.triggers.empty()) {
        entries_.erase(*key);
        active_here.erase(key);
      }
      continue;
    }
    if (DecideLocked(entry, now)) changed.push_back(*key);
    const bool waiting = std::any_of(active.load.triggers.begin(), active.load.triggers.end(),
                                     [](const TriggerLoad& trigger) { return trigger.waiting > 0; });
    if (active.load.current == 0 && demand && *demand == 0 && !waiting) {
      entry.active.reset();
      active_here.erase(key);
    }
  }
  return changed;
}

std::optional<ScalerView> Scaler::Look(const std::string& function) const {
  const base::MonotonicTime now = clock_.Now();
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(function);
  if (found == entries_.end() || !found->second.spec) return std::nullopt;
  const Entry& entry = found->second;
  ScalerView view{.spec = *entry.spec, .load = {}, .inputs = {}, .active = entry.active != nullptr};
  if (entry.active) view.load = entry.active->load;
  view.load.demand = DemandLocked(entry, now);
  view.load.triggers = TriggersLocked(entry, now);
  view.inputs = Decide(view.load, view.spec, rules_, now).inputs;
  return view;
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

std::size_t Scaler::SliceOf(const std::string& function) {
  return std::hash<std::string>()(function) % kSlices;
}

const ScheduledFloor& Scaler::FloorLocked(Entry& entry) const {
  const absl::Time now = absl::FromChrono(clock_.WallNow());
  if (!entry.floor.HoldsAt(now)) entry.floor = FloorAt(entry.spec->schedules, now);
  return entry.floor;
}

double Scaler::RawDemandLocked(const Entry& entry) const {
  std::uint64_t sum = 0;
  for (const GatewayDemand& demand : entry.demand) sum += demand.all();
  return static_cast<double>(sum);
}

void Scaler::CloseSampleLocked(Entry& entry, bool known, base::MonotonicTime now) const {
  Active& active = *entry.active;
  const double seconds = std::chrono::duration<double>(now - active.sample_begin).count();
  if (seconds <= 0) return;
  TickLoad tick{.seconds = seconds,
                .busy = active.busy_area / seconds,
                .held = active.held_area / seconds,
                .arrived = active.arrived,
                .running = 0,
                .ended = active.ended,
                .ended_seconds = active.ended_seconds};
  for (const GatewayDemand& demand : entry.demand) tick.running += demand.busy;
  if (known) entry.service_time.Learn(tick);
  active.load.history.Add({.at = now,
                           .demand = entry.service_time.Demand(tick, rules_.drain),
                           .known = known,
                           .seconds = seconds});
  active.busy_area = active.held_area = active.ended_seconds = 0;
  active.arrived = active.ended = 0;
  active.sample_begin = now;
}

std::optional<double> Scaler::DemandLocked(const Entry& entry, base::MonotonicTime now) const {
  if (gateways_.empty()) return std::nullopt;
  for (const GatewayDemand& demand : entry.demand) {
    if (demand.all() > 0 && now - demand.at > kStaleAfter) return std::nullopt;
  }
  return RawDemandLocked(entry);
}

Scaler::Active& Scaler::ActivateLocked(const std::string& function, Entry& entry, base::MonotonicTime now) {
  if (!entry.active) {
    entry.active = std::make_unique<Active>();
    entry.active->sample_begin = now;
    entry.active->area_until = now;
    entry.active->load.last_active = now;
    active_[SliceOf(function)].insert(function);
  }
  return *entry.active;
}

bool Scaler::DecideLocked(Entry& entry, base::MonotonicTime now) {
  Load idle;
  Load& load = entry.active ? entry.active->load : idle;
  load.demand = DemandLocked(entry, now);
  load.triggers = TriggersLocked(entry, now);
  load.floor = FloorLocked(entry);
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
  const double seconds = std::chrono::duration<double>(now - active.area_until).count();
  for (const GatewayDemand& demand : entry.demand) {
    active.busy_area += static_cast<double>(demand.busy) * seconds;
    active.held_area += static_cast<double>(demand.held) * seconds;
  }
  active.area_until = now;
}

}  // namespace mayfly::op
