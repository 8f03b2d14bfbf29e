// What a manifest says about scaling, as Decide() takes it.
#pragma once

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "base/cron_schedule.h"
#include "operator/api/function.h"
#include "operator/autoscaler/decide.h"

namespace mayfly::op {

inline ScalingSpec ScalingSpecOf(const FunctionSpec& spec) {
  ScalingSpec scaling{.min_replicas = spec.scaling.min_replicas,
                      .max_replicas = spec.scaling.max_replicas,
                      .target_utilization = spec.scaling.target_utilization,
                      .slots = spec.concurrency,
                      .scale_to_zero_after = spec.scaling.scale_to_zero_after};
  for (const Trigger& trigger : spec.triggers) {
    if (!trigger.event) continue;
    const v1::EventTrigger& event = trigger.event->message;
    // Unless the manifest says how many waiting events one replica is for: as many as it takes at once.
    const double at_once = static_cast<double>(spec.concurrency) * std::max(1u, event.batch().max_events());
    scaling.backlog_per_replica[trigger.name] =
        event.backlog_per_replica() > 0 ? event.backlog_per_replica() : at_once;
  }
  // Those of a manifest that was read have been understood once.
  for (const ScalingSchedule& schedule : spec.scaling.schedules) {
    auto from = base::CronSchedule::Parse(schedule.from);
    if (!from.ok()) continue;
    FloorSchedule floor{.name = schedule.name,
                        .from = *from,
                        .to = {},
                        .length = absl::FromChrono(schedule.length),
                        .zone = absl::UTCTimeZone(),
                        .min_replicas = schedule.min_replicas};
    if (!schedule.to.empty()) {
      auto to = base::CronSchedule::Parse(schedule.to);
      if (!to.ok()) continue;
      floor.to = *to;
    }
    if (!schedule.time_zone.empty() && !absl::LoadTimeZone(schedule.time_zone, &floor.zone)) continue;
    scaling.schedules.push_back(std::move(floor));
  }
  return scaling;
}

}  // namespace mayfly::op
