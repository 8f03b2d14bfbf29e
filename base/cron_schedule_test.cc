#include "base/cron_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mayfly::base {
namespace {

// The first firings after `after`, as RFC 3339 in UTC.
std::vector<std::string> Firings(const std::string& text, const std::string& zone_name,
                                 const std::string& after, int count) {
  const absl::StatusOr<CronSchedule> schedule = CronSchedule::Parse(text);
  EXPECT_TRUE(schedule.ok()) << schedule.status();
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(zone_name, &zone)) << zone_name;
  absl::Time at;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, after, &at, &error)) << error;
  std::vector<std::string> found;
  for (int n = 0; schedule.ok() && n < count; ++n) {
    at = schedule->Next(at, zone);
    found.push_back(absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", at, absl::UTCTimeZone()));
  }
  return found;
}

struct Row {
  std::string what;
  std::string schedule;
  std::string zone;
  std::string after;
  std::vector<std::string> firings;
};

class CronScheduleTable : public testing::TestWithParam<Row> {};

TEST_P(CronScheduleTable, FiresWhenItShould) {
  const Row& row = GetParam();
  EXPECT_EQ(Firings(row.schedule, row.zone, row.after, static_cast<int>(row.firings.size())), row.firings)
      << row.schedule << " in " << row.zone;
}

INSTANTIATE_TEST_SUITE_P(
    Rows, CronScheduleTable,
    testing::Values(
        Row{"EveryFiveMinutes",
            "*/5 * * * *",
            "UTC",
            "2026-03-01T10:02:30Z",
            {"2026-03-01T10:05:00Z", "2026-03-01T10:10:00Z"}},
        Row{"SixFields",
            "*/20 30 3 * * *",
            "UTC",
            "2026-03-01T03:30:00Z",
            {"2026-03-01T03:30:20Z", "2026-03-01T03:30:40Z", "2026-03-02T03:30:00Z"}},
        Row{"NotTheInstantItself", "0 3 * * *", "UTC", "2026-03-01T03:00:00Z", {"2026-03-02T03:00:00Z"}},
        Row{"Weekdays", "0 9 * * MON-FRI", "UTC", "2026-11-20T12:00:00Z", {"2026-11-23T09:00:00Z"}},
        Row{"SundayIsSevenToo", "0 0 * * 7", "UTC", "2026-11-20T12:00:00Z", {"2026-11-22T00:00:00Z"}},
        Row{"EitherDay",
            "0 0 13 * FRI",
            "UTC",
            "2026-02-01T00:00:00Z",
            {"2026-02-06T00:00:00Z", "2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z"}},
        Row{"MonthNames",
            "0 0 1 JAN,JUL *",
            "UTC",
            "2026-01-01T00:00:00Z",
            {"2026-07-01T00:00:00Z", "2027-01-01T00:00:00Z"}},
        Row{"LeapDay",
            "0 0 29 2 *",
            "UTC",
            "2026-01-01T00:00:00Z",
            {"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
        Row{"ThirtyFirst",
            "0 0 31 * *",
            "UTC",
            "2026-01-31T00:00:00Z",
            {"2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"}},
        Row{"Daily", "@daily", "Asia/Tokyo", "2026-06-01T00:00:00Z", {"2026-06-01T15:00:00Z"}},
        Row{"HalfHourZone", "0 3 * * *", "Asia/Kolkata", "2026-06-01T00:00:00Z", {"2026-06-01T21:30:00Z"}},
        // Paris: 2026-03-29 02:00 → 03:00; 2026-10-25 03:00 → 02:00.
        Row{"SkippedHourRunsAtTheJump",
            "30 2 * * *",
            "Europe/Paris",
            "2026-03-28T12:00:00Z",
            {"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
        Row{"SkippedMinutesRunOnce",
            "0,15,30,45 2 * * *",
            "Europe/Paris",
            "2026-03-28T12:00:00Z",
            {"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
        Row{"RepeatedHourRunsOnce",
            "30 2 * * *",
            "Europe/Paris",
            "2026-10-24T12:00:00Z",
            {"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
        Row{"IntervalsGoThroughTheRepeatedHour",
            "*/30 * * * *",
            "Europe/Paris",
            "2026-10-25T00:00:00Z",
            {"2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"}},
        Row{"IntervalsGoThroughTheSkippedHour",
            "*/30 * * * *",
            "Europe/Paris",
            "2026-03-29T00:30:00Z",
            {"2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"}},
        // Lord Howe's clocks change by half an hour: 2026-10-04 02:00 → 02:30.
        Row{"HalfAnHourIsSkipped",
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            {"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
        Row{"AfterTheHalfHour",
            "45 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            {"2026-10-03T15:45:00Z"}},
        // Samoa had no 30 December 2011.
        Row{"ADayIsSkipped",
            "0 12 30 12 *",
            "Pacific/Apia",
            "2011-12-29T00:00:00Z",
            {"2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z"}},
        // New York: 2026-11-01 02:00 → 01:00.
        Row{"MidnightIsNotRepeated",
            "0 0 * * *",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            {"2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"}}),
    [](const testing::TestParamInfo<Row>& row) { return row.param.what; });

TEST(CronScheduleTest, NamesWhatIsWrong) {
  const std::pair<const char*, const char*> wrong[] = {
      {"", "0 fields"},
      {"* * * *", "4 fields"},
      {"60 * * * *", "\"60\" is no minute"},
      {"* 24 * * *", "\"24\" is no hour"},
      {"* * 0 * *", "is no day of the month"},
      {"* * * 13 *", "is no month"},
      {"* * * * 8", "is no day of the week"},
      {"5-1 * * * *", "\"5-1\" is no minute"},
      {"*/0 * * * *", "\"*/0\" is no minute"},
      {"1,,2 * * * *", "is no minute"},
      {"* * L * *", "is no day of the month"},
      {"0 0 30 2 *", "never comes"},
      {"@reboot", "1 fields"},
  };
  for (const auto& [text, sentence] : wrong) {
    const absl::StatusOr<CronSchedule> schedule = CronSchedule::Parse(text);
    ASSERT_TRUE(absl::IsInvalidArgument(schedule.status())) << text;
    EXPECT_THAT(std::string(schedule.status().message()), testing::HasSubstr(sentence)) << text;
  }
}

}  // namespace
}  // namespace mayfly::base
