#include "operator/autoscaler/floor_schedule.h"

#include <algorithm>

namespace mayfly::op {
namespace {

// The 29th of February comes every four years, but for eight around 2100.
constexpr absl::Duration kLongestLookBack = absl::Hours(24 * 366 * 8);

// The last instant at or before `now` at which it fires; none within `back`. Looks back ever further, so that few instants
// are gone through however often it fires.
std::optional<absl::Time> LastFiring(const base::CronSchedule& schedule, absl::Time now, absl::Duration back,
                                     const absl::TimeZone& zone) {
  constexpr absl::Duration kFirst = absl::Minutes(2);
  for (absl::Duration look = std::min(kFirst, back);; look = std::min(look * 4, back)) {
    std::optional<absl::Time> last;
    for (absl::Time next = schedule.Next(now - look, zone); next <= now; next = schedule.Next(next, zone))
      last = next;
    if (last || look >= back) return last;
  }
}

// When the window that is open at `now` closes; none if none is.
std::optional<absl::Time> OpenUntil(const FloorSchedule& schedule, absl::Time now) {
  const std::optional<absl::Time> opened =
      LastFiring(schedule.from, now, schedule.to ? kLongestLookBack : schedule.length, schedule.zone);
  if (!opened) return std::nullopt;
  // At the instant at which it opened, too: Next() is after its argument, by a second at least.
  const absl::Time closes =
      schedule.to ? schedule.to->Next(*opened - absl::Seconds(1), schedule.zone) : *opened + schedule.length;
  return closes > now ? std::optional(closes) : std::nullopt;
}

}  // namespace

ScheduledFloor FloorAt(const std::vector<FloorSchedule>& schedules, absl::Time now) {
  ScheduledFloor floor;
  floor.holds_from = now;
  for (const FloorSchedule& schedule : schedules) {
    floor.holds_until = std::min(floor.holds_until, schedule.from.Next(now, schedule.zone));
    const std::optional<absl::Time> until = OpenUntil(schedule, now);
    if (!until) continue;
    floor.holds_until = std::min(floor.holds_until, *until);
    if (schedule.min_replicas <= floor.replicas) continue;
    floor.replicas = schedule.min_replicas;
    floor.schedule = schedule.name;
    floor.zone = schedule.zone;
    floor.until = *until;
  }
  return floor;
}

}  // namespace mayfly::op
