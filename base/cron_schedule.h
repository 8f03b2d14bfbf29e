// A CronSchedule says at which instants a cron expression fires.
//
// Five fields (minute hour day-of-month month day-of-week) or six (second first). A field is * or a list of N, N-M, */S,
// N-M/S, N/S; months and days have names (JAN, MON), Sunday is 0 and 7. If both days are given, either may match. The
// words @yearly, @monthly, @weekly, @daily and @hourly stand for what they say.
//
// When clocks change: a schedule of fixed hours that falls into the hour that is skipped fires once, right at the jump;
// in an hour that comes twice it fires the first time only. One whose hour is * goes by the time that passes: it fires
// every so many minutes, through both.
//
// Immutable; functions are pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/time/time.h"
#include "base/status.h"

namespace mayfly::base {

class CronSchedule {
 public:
  // kInvalidArgument names the field that is wrong, and one that never comes, such as the 30th of February.
  static absl::StatusOr<CronSchedule> Parse(std::string_view text);

  // The first instant after `after` at which it fires, in `zone`.
  absl::Time Next(absl::Time after, const absl::TimeZone& zone) const;

 private:
  bool DayMatches(absl::CivilDay day) const;
  std::optional<absl::Time> NextInterval(absl::Time after, const absl::TimeZone& zone) const;
  std::optional<absl::Time> NextFixed(absl::Time after, const absl::TimeZone& zone) const;
  std::optional<absl::Time> Search(absl::Time after, const absl::TimeZone& zone) const;

  // Bit n: n matches.
  std::uint64_t seconds_ = 1;
  std::uint64_t minutes_ = 0;
  std::uint64_t hours_ = 0;
  std::uint64_t days_ = 0;
  std::uint64_t months_ = 0;
  std::uint64_t weekdays_ = 0;
  bool any_day_ = false;
  bool any_weekday_ = false;
  bool every_hour_ = false;
};

}  // namespace mayfly::base
