#include "operator/api/cron_trigger.h"

#include <fmt/format.h>

#include <chrono>

#include "base/cron_schedule.h"
#include "operator/api/spec_bounds.h"
#include "operator/api/time_zone.h"

namespace mayfly::op {

void ReadCron(const YamlNode& node, const std::string& path, MistakeList& mistakes,
              v1::EventTrigger* trigger) {
  FieldReader reader(node, path, mistakes);
  v1::CronTrigger& cron = *trigger->mutable_cron();
  std::string text;
  if (reader.Text("schedule", text)) {
    const absl::Status wrong = base::CronSchedule::Parse(text).status();
    if (!wrong.ok()) reader.Wrong("schedule", std::string(wrong.message()));
    cron.set_schedule(text);
  } else if (reader.is_map() && reader.Find("schedule") == nullptr) {
    reader.Wrong("schedule", "is missing; say when to fire, as in schedule: \"0 3 * * *\"");
  }
  text.clear();
  ReadTimeZone(reader, /*needed=*/false, text);
  cron.set_time_zone(text);
  cron.set_missed_runs(v1::CronTrigger::MISSED_RUNS_ONCE);
  text.clear();
  if (reader.Text("missedRuns", text)) {
    if (text == "Skip") {
      cron.set_missed_runs(v1::CronTrigger::MISSED_RUNS_SKIP);
    } else if (text == "All") {
      cron.set_missed_runs(v1::CronTrigger::MISSED_RUNS_ALL);
    } else if (text != "Once") {
      reader.Wrong("missedRuns", fmt::format("{} is not known; use Skip, Once or All", Quote(text)));
    }
  }
  std::chrono::milliseconds jitter{0};
  if (reader.Duration("jitter", kCronJitter, jitter))
    cron.set_jitter_ms(static_cast<std::uint32_t>(jitter.count()));
  reader.Finish();
}

}  // namespace mayfly::op
