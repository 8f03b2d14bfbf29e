#include "base/cron_schedule.h"

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace mayfly::base {
namespace {

constexpr std::size_t kLongest = 256;
// 29 February, and a year that is no leap year although it divides by four.
constexpr int kMostYears = 9;

struct Field {
  const char* name;
  int least;
  int most;
  const char* names;  // three letters each, from `least`
};

constexpr Field kSecond{"second", 0, 59, ""};
constexpr Field kMinute{"minute", 0, 59, ""};
constexpr Field kHour{"hour", 0, 23, ""};
constexpr Field kDay{"day of the month", 1, 31, ""};
constexpr Field kMonth{"month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"};
constexpr Field kWeekday{"day of the week", 0, 7, "SUNMONTUEWEDTHUFRISAT"};

absl::Status Wrong(const Field& field, absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no ", field.name, "; use ", field.least,
                                                 " to ", field.most,
                                                 ", *, ranges (1-5), steps (*/10) or lists of them"));
}

bool ReadNumber(const Field& field, absl::string_view text, int* value) {
  if (text.empty() || text.size() > 3) return false;
  if (absl::ascii_isdigit(static_cast<unsigned char>(text[0])))
    return absl::SimpleAtoi(text, value) && *value >= field.least && *value <= field.most;
  if (text.size() != 3) return false;
  const std::string upper = absl::AsciiStrToUpper(text);
  const std::string_view names = field.names;
  for (std::size_t at = 0; at + 3 <= names.size(); at += 3) {
    if (names.substr(at, 3) != upper) continue;
    *value = field.least + static_cast<int>(at / 3);
    return true;
  }
  return false;
}

absl::Status ReadField(const Field& field, absl::string_view text, std::uint64_t* bits, bool* any) {
  *bits = 0;
  *any = text == "*";
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    const std::vector<absl::string_view> step = absl::StrSplit(item, '/');
    int first = field.least;
    int last = field.most;
    int by = 1;
    if (step.size() > 2) return Wrong(field, item);
    if (step[0] != "*") {
      const std::vector<absl::string_view> range = absl::StrSplit(step[0], '-');
      if (range.size() > 2 || !ReadNumber(field, range[0], &first)) return Wrong(field, item);
      if (range.size() == 2) {
        if (!ReadNumber(field, range[1], &last) || last < first) return Wrong(field, item);
      } else if (step.size() == 1) {
        last = first;
      }
    }
    if (step.size() == 2 &&
        (step[1].size() > 3 || !absl::SimpleAtoi(step[1], &by) || by < 1 || by > field.most)) {
      return Wrong(field, item);
    }
    for (int value = first; value <= last; value += by) *bits |= std::uint64_t{1} << value;
  }
  return absl::OkStatus();
}

bool Has(std::uint64_t bits, int value) { return (bits >> value & 1) != 0; }

// The first value of `bits` that is not less than `from`; -1 if there is none.
int FirstFrom(std::uint64_t bits, int from) {
  if (from > 63) return -1;
  const std::uint64_t rest = bits >> from << from;
  return rest == 0 ? -1 : std::countr_zero(rest);
}

}  // namespace

absl::StatusOr<CronSchedule> CronSchedule::Parse(std::string_view given) {
  if (given.size() > kLongest) return absl::InvalidArgumentError("the schedule has more than 256 characters");
  std::string text(absl::StripAsciiWhitespace(std::string(given)));
  const std::pair<const char*, const char*> words[] = {{"@yearly", "0 0 1 1 *"},  {"@annually", "0 0 1 1 *"},
                                                       {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
                                                       {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
                                                       {"@hourly", "0 * * * *"}};
  for (const auto& [word, meaning] : words) {
    if (text == word) text = meaning;
  }
  std::vector<absl::string_view> fields = absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (fields.size() != 5 && fields.size() != 6) {
    return absl::InvalidArgumentError(
        absl::StrCat("the schedule has ", fields.size(),
                     " fields; write five (minute hour day month weekday), or six with the second first"));
  }
  CronSchedule schedule;
  bool ignored = false;
  absl::Status status;
  if (fields.size() == 6) {
    status = ReadField(kSecond, fields[0], &schedule.seconds_, &ignored);
    fields.erase(fields.begin());
  }
  if (status.ok()) status = ReadField(kMinute, fields[0], &schedule.minutes_, &ignored);
  if (status.ok()) status = ReadField(kHour, fields[1], &schedule.hours_, &schedule.every_hour_);
  if (status.ok()) status = ReadField(kDay, fields[2], &schedule.days_, &schedule.any_day_);
  if (status.ok()) status = ReadField(kMonth, fields[3], &schedule.months_, &ignored);
  if (status.ok()) status = ReadField(kWeekday, fields[4], &schedule.weekdays_, &schedule.any_weekday_);
  if (!status.ok()) return status;
  // Sunday has two numbers.
  if (Has(schedule.weekdays_, 7)) schedule.weekdays_ |= 1;
  const absl::Time some = absl::FromCivil(absl::CivilDay(2024, 1, 1), absl::UTCTimeZone());
  if (!schedule.Search(some, absl::UTCTimeZone()))
    return absl::InvalidArgumentError("the schedule names a day that never comes");
  return schedule;
}

bool CronSchedule::DayMatches(absl::CivilDay day) const {
  if (!Has(months_, static_cast<int>(day.month()))) return false;
  // absl counts weekdays from Monday.
  const int weekday = (static_cast<int>(absl::GetWeekday(day)) + 1) % 7;
  const bool by_day = Has(days_, day.day());
  const bool by_weekday = Has(weekdays_, weekday);
  if (any_day_) return by_weekday;
  if (any_weekday_) return by_day;
  return by_day || by_weekday;
}

absl::Time CronSchedule::Next(absl::Time after, const absl::TimeZone& zone) const {
  return Search(after, zone).value_or(absl::InfiniteFuture());
}

std::optional<absl::Time> CronSchedule::Search(absl::Time after, const absl::TimeZone& zone) const {
  return every_hour_ ? NextInterval(after, zone) : NextFixed(after, zone);
}

std::optional<absl::Time> CronSchedule::NextInterval(absl::Time after, const absl::TimeZone& zone) const {
  absl::Time at = absl::FromUnixSeconds(absl::ToUnixSeconds(after) + 1);
  const absl::Time end = at + absl::Hours(24 * 366 * kMostYears);
  while (at < end) {
    const absl::CivilSecond civil = zone.At(at).cs;
    if (!DayMatches(absl::CivilDay(civil))) {
      at += absl::Seconds(3600 - civil.minute() * 60 - civil.second());
    } else if (!Has(minutes_, civil.minute())) {
      at += absl::Seconds(60 - civil.second());
    } else if (!Has(seconds_, civil.second())) {
      at += absl::Seconds(1);
    } else {
      return at;
    }
  }
  return std::nullopt;
}

std::optional<absl::Time> CronSchedule::NextFixed(absl::Time after, const absl::TimeZone& zone) const {
  // A day earlier, too: what was skipped fires later than its civil time says.
  const absl::CivilDay first = absl::CivilDay(zone.At(after).cs) - 1;
  std::optional<absl::Time> best;
  for (int n = 0; n < 366 * kMostYears; ++n) {
    const absl::CivilDay day = first + n;
    if (best && zone.At(absl::CivilSecond(day)).pre > *best + absl::Hours(24)) break;
    if (!DayMatches(day)) continue;
    for (int hour = FirstFrom(hours_, 0); hour >= 0; hour = FirstFrom(hours_, hour + 1)) {
      // The last of the hour is before `after`: nothing of it is of interest.
      const absl::TimeZone::TimeInfo whole =
          zone.At(absl::CivilSecond(day.year(), day.month(), day.day(), hour, 59, 59));
      if (std::max({whole.pre, whole.post, whole.trans}) <= after &&
          whole.kind == absl::TimeZone::TimeInfo::UNIQUE)
        continue;
      for (int minute = FirstFrom(minutes_, 0); minute >= 0; minute = FirstFrom(minutes_, minute + 1)) {
        for (int second = FirstFrom(seconds_, 0); second >= 0; second = FirstFrom(seconds_, second + 1)) {
          const absl::TimeZone::TimeInfo info =
              zone.At(absl::CivilSecond(day.year(), day.month(), day.day(), hour, minute, second));
          const absl::Time at = info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
          if (at > after && (!best || at < *best)) best = at;
          if (best && info.kind == absl::TimeZone::TimeInfo::UNIQUE && at >= *best) break;
        }
      }
      if (best && whole.kind == absl::TimeZone::TimeInfo::UNIQUE) return best;
    }
    if (best) return best;
  }
  return best;
}

}  // namespace mayfly::base
