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
  double burst = 0;
  double peak = 0;
  // Every tick of the stable window was seen, and none of them is unknown.
  bool whole = false;
};

Windows Look(const SampleHistory& history, const ScalingRules& rules, base::MonotonicTime now) {
  Windows windows;
  double stable_sum = 0;
  double burst_sum = 0;
  std::size_t stable_count = 0;
  std::size_t burst_count = 0;
  bool all_known = true;
  // A sliding burst window: sum over (history[i].at - burst_window, history[i].at].
  double sliding = 0;
  std::size_t sliding_begin = 0;
  std::size_t sliding_count = 0;
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
    stable_sum += sample.demand;
    ++stable_count;
    if (now - sample.at < rules.burst_window) {
      burst_sum += sample.demand;
      ++burst_count;
    }
    sliding += sample.demand;
    ++sliding_count;
    while (sample.at - history[sliding_begin].at >= rules.burst_window) {
      if (history[sliding_begin].known) {
        sliding -= history[sliding_begin].demand;
        --sliding_count;
      }
      ++sliding_begin;
    }
    windows.peak = std::max(windows.peak, sliding / static_cast<double>(sliding_count));
  }
  if (stable_count > 0) windows.stable = stable_sum / static_cast<double>(stable_count);
  if (burst_count > 0) windows.burst = burst_sum / static_cast<double>(burst_count);
  // A tenth may be missing: ticks come late on a busy machine.
  windows.whole = all_known && static_cast<double>(stable_count) >=
                                   0.9 * static_cast<double>(rules.stable_window / rules.tick);
  return windows;
}

}  // namespace

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
  } else if (current > 0 && load.demand == 0.0 && now - load.last_active >= spec.scale_to_zero_after) {
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
                       Seconds(rules.stable_window), target));
  } else if (!load.demand.has_value()) {
    decide(current, "Unknown", "a gateway has not told its demand for a while, so nothing is taken away");
  } else if (current > 1 && ReplicasFor(windows.peak * rules.shrink_slack, target) < current) {
    const std::int32_t enough = std::max(1, ReplicasFor(windows.peak * rules.shrink_reserve, target));
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
  } else {
    decide(
        current, "Steady",
        fmt::format("{:.1f} concurrent over {:.0f} s suit {} replica{}; one should have {:.1f}",
                    windows.stable, Seconds(rules.stable_window), current, current == 1 ? "" : "s", target));
  }

  if (decision.desired > most) {
    decide(most, "AtMaximum", fmt::format("{}; maxReplicas is {}", decision.message, spec.max_replicas));
  } else if (decision.desired < spec.min_replicas) {
    decide(spec.min_replicas, "AtMinimum",
           fmt::format("{}; minReplicas is {}", decision.message, spec.min_replicas));
  }
  return decision;
}

}  // namespace mayfly::op
