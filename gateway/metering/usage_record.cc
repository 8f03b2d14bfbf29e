#include "gateway/metering/usage_record.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace mayfly::gateway {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr char kTime[] = "%Y-%m-%dT%H:%M:%E3SZ";

std::string Rfc3339(std::int64_t ms) {
  return absl::FormatTime(kTime, absl::FromUnixMillis(ms), absl::UTCTimeZone());
}

std::int64_t TimeOf(const Json& json, const char* field) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, json.at(field).get<std::string>(), &time, &error))
    throw std::invalid_argument(absl::StrCat(field, ": ", error));
  return absl::ToUnixMillis(time);
}

}  // namespace

UsageSums& UsageSums::operator+=(const UsageSums& more) {
  invocations += more.invocations;
  wall_us += more.wall_us;
  cpu_us += more.cpu_us;
  memory_kb_ms += more.memory_kb_ms;
  return *this;
}

std::string ToLine(const UsageRecord& record) {
  const std::size_t slash = record.function.find('/');
  const Json json = {{"usageRecord", kVersion},
                     {"from", Rfc3339(record.from_ms)},
                     {"until", Rfc3339(record.until_ms)},
                     {"gateway", record.gateway},
                     {"instance", record.instance},
                     {"number", record.number},
                     {"namespace", record.function.substr(0, slash)},
                     {"function", record.function.substr(slash + 1)},
                     {"trigger", record.trigger},
                     {"invocations", record.sums.invocations},
                     {"wallMicroseconds", record.sums.wall_us},
                     {"cpuMicroseconds", record.sums.cpu_us},
                     {"memoryKilobyteMilliseconds", record.sums.memory_kb_ms}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<UsageRecord> ParseUsageRecord(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("usageRecord"))
    return absl::InvalidArgumentError("it is no usage record");
  try {
    if (json["usageRecord"] != kVersion)
      return absl::InvalidArgumentError(
          absl::StrCat("its form is ", json["usageRecord"].dump(), ", and this program knows ", kVersion));
    UsageRecord record;
    record.from_ms = TimeOf(json, "from");
    record.until_ms = TimeOf(json, "until");
    record.gateway = json.at("gateway").get<std::string>();
    record.instance = json.at("instance").get<std::string>();
    record.number = json.at("number").get<std::uint64_t>();
    record.function = json.at("namespace").get<std::string>() + "/" + json.at("function").get<std::string>();
    record.trigger = json.at("trigger").get<std::string>();
    record.sums = {.invocations = json.at("invocations").get<std::uint64_t>(),
                   .wall_us = json.at("wallMicroseconds").get<std::uint64_t>(),
                   .cpu_us = json.at("cpuMicroseconds").get<std::uint64_t>(),
                   .memory_kb_ms = json.at("memoryKilobyteMilliseconds").get<std::uint64_t>()};
    return record;
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
}

}  // namespace mayfly::gateway
