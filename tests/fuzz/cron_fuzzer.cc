// Cron expressions: whatever the bytes, it is parsed or refused, and what was parsed fires later than asked.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/cron_schedule.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto schedule = mayfly::base::CronSchedule::Parse({reinterpret_cast<const char*>(data), size});
  if (!schedule.ok()) return 0;
  const absl::Time after = absl::FromUnixSeconds(1'790'000'000);
  const absl::Time next = schedule->Next(after, absl::FixedTimeZone(3600));
  if (next <= after || next == absl::InfiniteFuture()) std::abort();
  return 0;
}
