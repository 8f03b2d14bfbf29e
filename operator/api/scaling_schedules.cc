#include "operator/api/scaling_schedules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/cron_schedule.h"
#include "operator/api/names.h"
#include "operator/api/spec_bounds.h"
#include "operator/api/time_zone.h"
#include "operator/api/units.h"

namespace mayfly::op {
namespace {

// A cron expression has blanks or a word with @; a duration has neither.
bool IsCron(const std::string& text) { return text.find_first_of(" @") != std::string::npos; }

bool ReadCronText(FieldReader& reader, const char* field, const std::string& text) {
  const absl::Status wrong = base::CronSchedule::Parse(text).status();
  if (!wrong.ok()) reader.Wrong(field, std::string(wrong.message()));
  return wrong.ok();
}

ScalingSchedule ReadSchedule(FieldReader& reader, std::int32_t most) {
  ScalingSchedule schedule;
  if (reader.Text("name", schedule.name)) {
    const std::string wrong = CheckLabelName(schedule.name);
    if (!wrong.empty()) reader.Wrong("name", wrong);
  } else if (reader.is_map() && reader.Find("name") == nullptr) {
    reader.Wrong("name", "is missing; give each schedule a name of its own, as in name: office-hours");
  }
  if (reader.Text("from", schedule.from)) {
    ReadCronText(reader, "from", schedule.from);
  } else if (reader.is_map() && reader.Find("from") == nullptr) {
    reader.Wrong("from",
                 "is missing; say when the replicas are to be there, as in from: \"0 8 * * MON-FRI\"");
  }
  std::string to;
  if (reader.Text("to", to)) {
    if (IsCron(to)) {
      ReadCronText(reader, "to", to);
      schedule.to = to;
    } else {
      reader.Duration("to", kScheduleLength, schedule.length);
    }
  } else if (reader.is_map() && reader.Find("to") == nullptr) {
    reader.Wrong("to",
                 "is missing; say until when, as in to: \"0 18 * * MON-FRI\", or for how long, as in to: 2h");
  }
  ReadTimeZone(reader, /*needed=*/true, schedule.time_zone);
  if (reader.Integer("minReplicas", kScheduledReplicas, schedule.min_replicas)) {
    if (schedule.min_replicas > most) {
      reader.Wrong("minReplicas",
                   fmt::format("is more than maxReplicas {}; raise maxReplicas or lower it", most));
    }
  } else if (reader.is_map() && reader.Find("minReplicas") == nullptr) {
    reader.Wrong("minReplicas", "is missing; say how many replicas there are to be at least");
  }
  reader.Finish();
  return schedule;
}

}  // namespace

std::vector<ScalingSchedule> ReadSchedules(FieldReader& scaling, std::int32_t most, MistakeList& mistakes) {
  std::vector<ScalingSchedule> schedules;
  std::set<std::string> names;
  const std::vector<YamlNode>& items = scaling.List("schedules", kMaxSchedules, "schedule");
  for (std::size_t i = 0; i < items.size(); ++i) {
    FieldReader reader(items[i], fmt::format("{}[{}]", scaling.PathOf("schedules"), i), mistakes);
    ScalingSchedule schedule = ReadSchedule(reader, most);
    if (!schedule.name.empty() && !names.insert(schedule.name).second)
      reader.Wrong("name", fmt::format("{} is the name of another schedule too; give each one of its own",
                                       Quote(schedule.name)));
    schedules.push_back(std::move(schedule));
  }
  return schedules;
}

}  // namespace mayfly::op
