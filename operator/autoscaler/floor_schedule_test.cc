#include "operator/autoscaler/floor_schedule.h"

#include <gtest/gtest.h>

namespace mayfly::op {
namespace {

absl::TimeZone Zone(const char* name) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(name, &zone)) << name;
  return zone;
}

FloorSchedule Schedule(const char* from, const char* to, std::int32_t replicas, const char* zone = "UTC",
                       const char* name = "s") {
  FloorSchedule schedule{.name = name,
                         .from = base::CronSchedule::Parse(from).value(),
                         .to = {},
                         .length = {},
                         .zone = Zone(zone),
                         .min_replicas = replicas};
  if (!absl::ParseDuration(to, &schedule.length)) schedule.to = base::CronSchedule::Parse(to).value();
  return schedule;
}

absl::Time At(const char* text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << error;
  return time;
}

std::int32_t Floor(const FloorSchedule& schedule, const char* at) {
  return FloorAt({schedule}, At(at)).replicas;
}

TEST(FloorSchedule, HoldsFromOneInstantUntilBeforeAnother) {
  const FloorSchedule office = Schedule("0 8 * * MON-FRI", "0 18 * * MON-FRI", 5, "Europe/Paris");
  EXPECT_EQ(Floor(office, "2026-03-02T07:59:59+01:00"), 0);
  EXPECT_EQ(Floor(office, "2026-03-02T08:00:00+01:00"), 5);
  EXPECT_EQ(Floor(office, "2026-03-02T17:59:59+01:00"), 5);
  EXPECT_EQ(Floor(office, "2026-03-02T18:00:00+01:00"), 0);
  EXPECT_EQ(Floor(office, "2026-03-07T12:00:00+01:00"), 0) << "a Saturday";
  const ScheduledFloor floor = FloorAt({office}, At("2026-03-02T12:00:00+01:00"));
  EXPECT_EQ(floor.schedule, "s");
  EXPECT_EQ(floor.until, At("2026-03-02T18:00:00+01:00"));
}

TEST(FloorSchedule, HoldsForALength) {
  const FloorSchedule nightly = Schedule("0 3 * * *", "2h30m", 2);
  EXPECT_EQ(Floor(nightly, "2026-03-02T02:59:59Z"), 0);
  EXPECT_EQ(Floor(nightly, "2026-03-02T03:00:00Z"), 2);
  EXPECT_EQ(Floor(nightly, "2026-03-02T05:29:59Z"), 2);
  EXPECT_EQ(Floor(nightly, "2026-03-02T05:30:00Z"), 0);
}

TEST(FloorSchedule, StaysOpenOverDaysAndYears) {
  EXPECT_EQ(Floor(Schedule("0 18 * * FRI", "0 6 * * MON", 3), "2026-03-08T12:00:00Z"), 3) << "a weekend";
  EXPECT_EQ(Floor(Schedule("0 0 1 12 *", "0 0 2 1 *", 3), "2026-01-01T00:00:00Z"), 3) << "from December";
  EXPECT_EQ(Floor(Schedule("0 0 29 2 *", "0 0 1 1 *", 3), "2026-06-01T00:00:00Z"), 0) << "it closed in 2025";
  EXPECT_EQ(Floor(Schedule("0 0 29 2 *", "0 0 28 2 *", 3), "2026-01-01T00:00:00Z"), 0);
  EXPECT_EQ(Floor(Schedule("* * * * * *", "1s", 3), "2026-01-01T00:00:00Z"), 3)
      << "each second, without a gap";
  EXPECT_EQ(Floor(Schedule("*/5 * * * *", "1m", 3), "2026-01-01T00:04:00Z"), 0);
  EXPECT_EQ(Floor(Schedule("*/5 * * * *", "1m", 3), "2026-01-01T00:05:30Z"), 3);
}

// Paris, 29 March 2026: after 01:59:59 comes 03:00:00.
TEST(FloorSchedule, OpensAtTheJumpIfItsHourIsSkipped) {
  const FloorSchedule early = Schedule("30 2 * * *", "0 4 * * *", 4, "Europe/Paris");
  EXPECT_EQ(Floor(early, "2026-03-29T01:59:59+01:00"), 0);
  EXPECT_EQ(Floor(early, "2026-03-29T03:00:00+02:00"), 4);
  EXPECT_EQ(Floor(early, "2026-03-29T03:59:59+02:00"), 4);
  EXPECT_EQ(Floor(early, "2026-03-29T04:00:00+02:00"), 0);
  // Both ends in the hour that is not: nothing is left of it, and it is not open until the next day.
  const FloorSchedule gone = Schedule("0 2 * * *", "30 2 * * *", 4, "Europe/Paris");
  for (const char* at :
       {"2026-03-29T01:59:59+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T12:00:00+02:00"})
    EXPECT_EQ(Floor(gone, at), 0) << at;
  EXPECT_EQ(Floor(gone, "2026-03-30T02:15:00+02:00"), 4);
}

// Paris, 25 October 2026: 02:00 to 02:59 comes twice.
TEST(FloorSchedule, OpensTheFirstTimeOfAnHourThatComesTwice) {
  const FloorSchedule clock = Schedule("30 2 * * *", "0 3 * * *", 4, "Europe/Paris");
  EXPECT_EQ(Floor(clock, "2026-10-25T02:29:59+02:00"), 0);
  EXPECT_EQ(Floor(clock, "2026-10-25T02:30:00+02:00"), 4);
  EXPECT_EQ(Floor(clock, "2026-10-25T02:15:00+01:00"), 4) << "it is open over both";
  EXPECT_EQ(Floor(clock, "2026-10-25T03:00:00+01:00"), 0);
  const FloorSchedule passing = Schedule("30 2 * * *", "30m", 4, "Europe/Paris");
  EXPECT_EQ(Floor(passing, "2026-10-25T02:59:59+02:00"), 4);
  EXPECT_EQ(Floor(passing, "2026-10-25T02:45:00+01:00"), 0) << "half an hour has passed, and it opens once";
}

TEST(FloorSchedule, OfSeveralTheHighestCountsWithItsName) {
  const std::vector<FloorSchedule> schedules = {Schedule("0 8 * * *", "0 18 * * *", 5, "UTC", "day"),
                                                Schedule("0 12 * * *", "1h", 9, "UTC", "noon")};
  EXPECT_EQ(FloorAt(schedules, At("2026-03-02T11:00:00Z")).schedule, "day");
  EXPECT_EQ(FloorAt(schedules, At("2026-03-02T12:30:00Z")).schedule, "noon");
  EXPECT_EQ(FloorAt(schedules, At("2026-03-02T12:30:00Z")).replicas, 9);
  EXPECT_EQ(FloorAt(schedules, At("2026-03-02T13:00:00Z")).schedule, "day");
  EXPECT_EQ(FloorAt({}, At("2026-03-02T13:00:00Z")).replicas, 0);
}

// What is looked up once holds as long as it says, and no longer.
TEST(FloorSchedule, SaysHowLongItHolds) {
  const std::vector<FloorSchedule> schedules = {
      Schedule("0 8 * * MON-FRI", "0 18 * * MON-FRI", 5, "Europe/Paris", "office"),
      Schedule("30 2 * * *", "90m", 3, "Europe/Paris", "night"),
      Schedule("*/20 * * * *", "7m", 1, "UTC", "often")};
  // Two weeks around each change of clocks, and one in between.
  for (const char* from : {"2026-03-20T00:00:00Z", "2026-07-01T00:00:00Z", "2026-10-18T00:00:00Z"}) {
    const absl::Time end = At(from) + absl::Hours(24 * 14);
    ScheduledFloor held = FloorAt(schedules, At(from));
    for (absl::Time now = At(from); now < end; now += absl::Minutes(1)) {
      const ScheduledFloor floor = FloorAt(schedules, now);
      if (!held.HoldsAt(now)) held = floor;
      ASSERT_EQ(held.replicas, floor.replicas) << absl::FormatTime(now);
      ASSERT_EQ(held.schedule, floor.schedule) << absl::FormatTime(now);
    }
  }
  EXPECT_FALSE(FloorAt(schedules, At("2026-07-01T12:00:00Z")).HoldsAt(At("2026-07-01T11:59:59Z")))
      << "a clock that was set back";
}

}  // namespace
}  // namespace mayfly::op
