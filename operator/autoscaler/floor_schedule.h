// A FloorSchedule keeps a number of replicas in windows of time: from each instant of a cron expression to the next one of
// another, or for a length.
//
// Clocks that change do to it what they do to triggers of the kind cron, whose code says when expressions fire
// (base/cron_schedule.h): a window that opens in the hour that is skipped opens at the jump, one in the hour that comes twice the
// first time. A window that closes at the instant at which it opens is none. A length is time that passes, whatever clocks say.
//
// Pure: time is an argument.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/cron_schedule.h"

namespace mayfly::op {

struct FloorSchedule {
  std::string name;
  base::CronSchedule from;
  std::optional<base::CronSchedule> to;  // none: `length` later
  absl::Duration length;
  absl::TimeZone zone;
  std::int32_t min_replicas = 0;
};

// The highest floor of the windows that are open.
struct ScheduledFloor {
  std::int32_t replicas = 0;                  // 0: none is open
  std::string schedule{};                     // whose it is
  absl::TimeZone zone{};                      // that schedule's
  absl::Time until = absl::InfiniteFuture();  // when its window closes
  absl::Time holds_from = absl::InfinitePast();
  absl::Time holds_until = absl::InfiniteFuture();  // all of this may be other then

  bool HoldsAt(absl::Time now) const { return holds_from <= now && now < holds_until; }
};

ScheduledFloor FloorAt(const std::vector<FloorSchedule>& schedules, absl::Time now);

}  // namespace mayfly::op
