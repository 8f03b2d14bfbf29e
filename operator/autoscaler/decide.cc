#include "operator/autoscaler/decide.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

namespace mayfly::op {
namespace {

double Seconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double>(duration).count(); }

// How many replicas `demand` needs. The small term keeps 0.1 + 0.2 from needing a replica more than 0.3.
std::int32_t ReplicasFor(double demand, double per_replica) {
  const double replicas = std::ceil(demand / per_replica - 1e-9);
  return static_cast<std::int32_t>(std::clamp(replicas, 0.0, 1e6));
}

struct Windows {
  double stable = 0;
  double stable_seconds = 0;  // how much of the stable window is known
  double burst = 0;
  // What both of the last two ticks have seen: how a burst looks before the burst window is full of it.
  double sudden = 0;
  double peak = 0;
  // Every tick of the stable window was seen, and none of them is unknown.
  bool whole = false;
};

Windows Look(const SampleHistory& history, const ScalingRules& rules, base::MonotonicTime now) {
  Windows windows;
  double stable_sum = 0, stable_seconds = 0;
  double burst_sum = 0, burst_seconds = 0;
  bool all_known = true;
  // A sliding burst window: sum over (history[i].at - burst_window, history[i].at].
  double sliding_sum = 0, sliding_seconds = 0;
  std::size_t sliding_begin = 0;
  for (std::size_t i = 0; i < history.size(); ++i) {
    const Sample& sample = history[i];
    if (sample.at > now || now - sample.at >= rules.stable_window) {
      sliding_begin = i + 1;
      continue;
    }
    if (!sample.known) {
      all_known = false;
      continue;
    }
    const double weighed = sample.demand * sample.seconds;
    stable_sum += weighed;
    stable_seconds += sample.seconds;
    if (now - sample.at < rules.burst_window) {
      burst_sum += weighed;
      burst_seconds += sample.seconds;
    }
    sliding_sum += weighed;
    sliding_seconds += sample.seconds;
    while (sample.at - history[sliding_begin].at >= rules.burst_window) {
      const Sample& oldest = history[sliding_begin++];
      if (!oldest.known) continue;
      sliding_sum -= oldest.demand * oldest.seconds;
      sliding_seconds -= oldest.seconds;
    }
    windows.peak = std::max(windows.peak, sliding_sum / sliding_seconds);
  }
  if (history.size() >= 2) {
    const Sample& last = history[history.size() - 1];
    const Sample& before = history[history.size() - 2];
    if (last.known && before.known && now - before.at < rules.burst_window)
      windows.sudden = std::min(last.demand, before.demand);
  }
  if (stable_seconds > 0) windows.stable = stable_sum / stable_seconds;
  if (burst_seconds > 0) windows.burst = burst_sum / burst_seconds;
  windows.burst = std::max(windows.burst, windows.sudden);
  // A tenth may be missing: ticks come late on a busy machine.
  windows.whole = all_known && stable_seconds >= 0.9 * Seconds(rules.stable_window);
  windows.stable_seconds = std::min(stable_seconds, Seconds(rules.stable_window));
  return windows;
}

// Which trigger's backlog needs most, and whether all of them are known.
struct Backlogs {
  const TriggerLoad* most = nullptr;
  double per_replica = 1;
  std::int32_t replicas = 0;
  const TriggerLoad* unknown = nullptr;
};

Backlogs LookAt(const std::vector<TriggerLoad>& triggers, const ScalingSpec& spec) {
  Backlogs backlogs;
  for (const TriggerLoad& trigger : triggers) {
    if (!trigger.known) backlogs.unknown = &trigger;
    if (trigger.waiting == 0) continue;
    const double per_replica = spec.BacklogPerReplica(trigger.trigger);
    const std::int32_t replicas = ReplicasFor(static_cast<double>(trigger.waiting), per_replica);
    if (replicas > backlogs.replicas) backlogs = {&trigger, per_replica, replicas, backlogs.unknown};
  }
  return backlogs;
}

std::string Waiting(const Backlogs& backlogs) {
  return fmt::format("{} events wait or are unsettled at trigger {}", backlogs.most->waiting,
                     backlogs.most->trigger);
}

}  // namespace

double ScalingSpec::BacklogPerReplica(const std::string& trigger) const {
  const auto found = backlog_per_replica.find(trigger);
  return std::max(1.0, found == backlog_per_replica.end() ? static_cast<double>(slots) : found->second);
}

bool Load::events() const {
  return std::any_of(triggers.begin(), triggers.end(),
                     [](const TriggerLoad& trigger) { return trigger.waiting > 0 || !trigger.known; });
}

double ScalingSpec::TargetPerReplica() const {
  return std::max(0.01, static_cast<double>(slots) * target_utilization / 100.0);
}

void SampleHistory::Add(const Sample& sample) {
  ring_[next_] = sample;
  next_ = (next_ + 1) % kCapacity;
  size_ = std::min(size_ + 1, kCapacity);
}

const Sample& SampleHistory::operator[](std::size_t index) const {
  assert(index < size_);
  return ring_[(next_ + kCapacity - size_ + index) % kCapacity];
}

Decision Decide(const Load& load, const ScalingSpec& spec, const ScalingRules& rules,
                base::MonotonicTime now) {
  const Windows windows = Look(load.history, rules, now);
  const double target = spec.TargetPerReplica();
  const std::int32_t current = load.current;
  const double demand = load.demand.value_or(0);
  const std::int32_t most = std::max(spec.min_replicas, spec.max_replicas);

  Decision decision;
  decision.inputs = {.demand = demand,
                     .known = load.demand.has_value(),
                     .stable_average = windows.stable,
                     .burst_average = windows.burst,
                     .recent_peak = windows.peak,
                     .target_per_replica = target,
                     .current = current};
  const Backlogs backlogs = LookAt(load.triggers, spec);
  if (backlogs.most != nullptr) {
    decision.inputs.trigger = backlogs.most->trigger;
    decision.inputs.backlog = backlogs.most->waiting;
    decision.inputs.backlog_per_replica = backlogs.per_replica;
  }
  if (load.floor.replicas > 0) {
    decision.inputs.schedule = load.floor.schedule;
    decision.inputs.scheduled = load.floor.replicas;
  }
  const auto decide = [&](std::int32_t desired, const char* reason, std::string message) {
    decision.desired = desired;
    decision.reason = reason;
    decision.message = std::move(message);
  };

  const std::int32_t stable = ReplicasFor(windows.stable, target);
  const std::int32_t burst = ReplicasFor(windows.burst, target);
  const bool every_slot_taken = windows.burst >= static_cast<double>(current) * spec.slots;
  const std::int32_t growth_limit =
      static_cast<std::int32_t>(std::min(1e6, std::floor(std::max(current, 1) * rules.most_growth)));

  if (current == 0 && demand > 0) {
    decide(1, "FromZero", fmt::format("{:.0f} waiting or running, and no replica", demand));
  } else if (current == 0 && backlogs.replicas > 0) {
    decide(1, "FromZero", Waiting(backlogs) + ", and no replica");
  } else if (current > 0 && backlogs.replicas > current && backlogs.replicas >= std::max(stable, burst)) {
    decide(std::min(backlogs.replicas, growth_limit), "Backlog",
           fmt::format("{}; one replica is for {:.0f}", Waiting(backlogs), backlogs.per_replica));
  } else if (current > 0 && load.demand == 0.0 && !load.events() &&
             now - load.last_active >= spec.scale_to_zero_after) {
    decide(0, "Idle",
           fmt::format("nothing ran or waited for {:.0f} s (scaleToZeroAfter is {:.0f} s)",
                       Seconds(now - load.last_active), Seconds(spec.scale_to_zero_after)));
  } else if (current > 0 && every_slot_taken && burst > current && burst >= stable) {
    decide(
        std::min(burst, growth_limit), "Burst",
        fmt::format("{:.1f} concurrent over {:.0f} s take all {} slots of {}; one replica should have {:.1f}",
                    windows.burst, Seconds(rules.burst_window), current * spec.slots, current, target));
  } else if (current > 0 && stable > current) {
    decide(std::min(stable, growth_limit), "Stable",
           fmt::format("{:.1f} concurrent over {:.0f} s; one replica should have {:.1f}", windows.stable,
                       windows.stable_seconds, target));
  } else if (!load.demand.has_value()) {
    decide(current, "Unknown",
           "no gateway has told its demand yet, or one has not for a while, so nothing is taken away");
  } else if (current > 0 && backlogs.unknown != nullptr) {
    const std::string& why = backlogs.unknown->why_unknown;
    decide(current, "Unknown",
           fmt::format("how many events wait at trigger {} is not known{}, so nothing is taken away",
                       backlogs.unknown->trigger, why.empty() ? "" : " (" + why + ")"));
  } else if (current > 1 && current > backlogs.replicas &&
             ReplicasFor(windows.peak * rules.shrink_slack, target) < current) {
    const std::int32_t enough =
        std::max({1, backlogs.replicas, ReplicasFor(windows.peak * rules.shrink_reserve, target)});
    if (!windows.whole) {
      decide(current, "NoHistory",
             fmt::format("fewer would do, but the last {:.0f} s are not all known",
                         Seconds(rules.stable_window)));
    } else if (load.last_shrink && now - *load.last_shrink < rules.shrink_interval) {
      decide(current, "Steady",
             fmt::format("fewer would do, but it shrank less than {:.0f} s ago",
                         Seconds(rules.shrink_interval)));
    } else {
      decide(std::max(enough, (current + 1) / 2), "Shrink",
             fmt::format("at most {:.1f} concurrent in the last {:.0f} s; one replica should have {:.1f}",
                         windows.peak, Seconds(rules.stable_window), target));
    }
  } else if (current == 0) {
    decide(0, "Idle", "nothing runs or waits");
  } else if (backlogs.most != nullptr) {
    decide(current, "Steady",
           fmt::format("{}, and suit {} replica{}; one is for {:.0f}", Waiting(backlogs), current,
                       current == 1 ? "" : "s", backlogs.per_replica));
  } else {
    decide(current, "Steady",
           fmt::format("{:.1f} concurrent over {:.0f} s suit {} replica{}; one should have {:.1f}",
                       windows.stable, windows.stable_seconds, current, current == 1 ? "" : "s", target));
  }

  if (decision.desired > most) {
    decide(most, "AtMaximum", fmt::format("{}; maxReplicas is {}", decision.message, spec.max_replicas));
  } else if (const std::int32_t scheduled = std::min(load.floor.replicas, most);
             decision.desired < scheduled && spec.min_replicas < scheduled) {
    decide(scheduled, "Scheduled",
           fmt::format("{}; schedule {} keeps {} until {}", decision.message, load.floor.schedule, scheduled,
                       absl::FormatTime("%Y-%m-%dT%H:%M:%S%Ez", load.floor.until, load.floor.zone)));
  } else if (decision.desired < spec.min_replicas) {
    decide(spec.min_replicas, "AtMinimum",
           fmt::format("{}; minReplicas is {}", decision.message, spec.min_replicas));
  }
  return decision;
}

}  // namespace mayfly::op
