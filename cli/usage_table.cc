#include "cli/usage_table.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/table.h"

namespace mayfly::cli {
namespace {

using gateway::UsageSums;
using Json = nlohmann::ordered_json;

constexpr double kMicrosecondsPerMillisecond = 1e3;
constexpr double kKilobyteMillisecondsPerGigabyteSecond = 1e9;

std::string Milliseconds(std::uint64_t microseconds) {
  return absl::StrFormat("%d.%03d", microseconds / 1000, microseconds % 1000);
}

std::vector<std::string> Columns(const UsageSums& sums) {
  return {absl::StrCat(sums.invocations), Milliseconds(sums.wall_us), Milliseconds(sums.cpu_us),
          absl::StrFormat("%.6f",
                          static_cast<double>(sums.memory_kb_ms) / kKilobyteMillisecondsPerGigabyteSecond)};
}

void AddSums(Json& json, const UsageSums& sums) {
  json["invocations"] = sums.invocations;
  json["wallMilliseconds"] = static_cast<double>(sums.wall_us) / kMicrosecondsPerMillisecond;
  json["cpuMilliseconds"] = static_cast<double>(sums.cpu_us) / kMicrosecondsPerMillisecond;
  json["gigabyteSeconds"] = static_cast<double>(sums.memory_kb_ms) / kKilobyteMillisecondsPerGigabyteSecond;
}

std::string Time(std::int64_t ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(ms), absl::UTCTimeZone());
}

}  // namespace

void UsageTable::Add(const gateway::UsageRecord& record) {
  if (record.until_ms <= options_.since_ms) return;
  if (!options_.function.empty() && record.function != options_.function) return;
  if (record.number != 0 && !seen_[record.instance].insert(record.number).second) return;
  const std::size_t slash = record.function.find('/');
  Key key{record.function.substr(0, slash), "", ""};
  if (options_.by != UsageBy::kNamespace) std::get<1>(key) = record.function.substr(slash + 1);
  if (options_.by == UsageBy::kTrigger) std::get<2>(key) = record.trigger;
  rows_[key] += record.sums;
  total_ += record.sums;
  from_ms_ = from_ms_ == 0 ? record.from_ms : std::min(from_ms_, record.from_ms);
  until_ms_ = std::max(until_ms_, record.until_ms);
}

std::string UsageTable::Show(const std::string& output) const {
  return output == "json" ? ShowJson() : ShowTable();
}

std::string UsageTable::ShowTable() const {
  if (rows_.empty()) return "Nothing was used.\n";
  std::vector<std::string> heads = {"NAMESPACE"};
  if (options_.by != UsageBy::kNamespace) heads.emplace_back("FUNCTION");
  if (options_.by == UsageBy::kTrigger) heads.emplace_back("TRIGGER");
  const std::size_t names = heads.size();
  for (const char* const head : {"INVOCATIONS", "BILLED MS", "CPU MS", "GB-S"}) heads.emplace_back(head);
  std::vector<std::vector<std::string>> rows = {heads};
  const auto add = [&](std::vector<std::string> row, const UsageSums& sums) {
    row.resize(names);
    for (std::string& column : Columns(sums)) row.push_back(std::move(column));
    rows.push_back(std::move(row));
  };
  for (const auto& [key, sums] : rows_) {
    const auto& [space, function, trigger] = key;
    add({space, function, trigger.empty() && options_.by == UsageBy::kTrigger ? "(by name)" : trigger}, sums);
  }
  if (rows_.size() > 1) add({"TOTAL", "", ""}, total_);
  return AlignedRight(rows, names);
}

std::string UsageTable::ShowJson() const {
  Json json;
  if (options_.since_ms != 0) json["since"] = Time(options_.since_ms);
  if (!rows_.empty()) {
    if (from_ms_ != 0) json["from"] = Time(from_ms_);
    if (from_ms_ != 0) json["until"] = Time(until_ms_);
  }
  json["usage"] = Json::array();
  for (const auto& [key, sums] : rows_) {
    const auto& [space, function, trigger] = key;
    Json row = {{"namespace", space}};
    if (options_.by != UsageBy::kNamespace) row["function"] = function;
    if (options_.by == UsageBy::kTrigger) row["trigger"] = trigger;
    AddSums(row, sums);
    json["usage"].push_back(std::move(row));
  }
  AddSums(json["total"], total_);
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<std::int64_t> ParseSince(std::string_view text, std::int64_t now_ms) {
  const std::string written(text);
  std::string error;
  absl::Time time;
  if (absl::ParseTime(absl::RFC3339_full, written, &time, &error) ||
      absl::ParseTime("%Y-%m-%d", written, &time, &error))
    return absl::ToUnixMillis(time);
  absl::Duration duration;
  double days = 0;
  if (written.ends_with('d') && absl::SimpleAtod(written.substr(0, written.size() - 1), &days)) {
    duration = days * absl::Hours(24);
  } else if (!absl::ParseDuration(written, &duration)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--since ", written, " is no time: say 90m, 24h or 7d, 2026-03-01 or 2026-03-01T12:00:00Z"));
  }
  if (duration < absl::ZeroDuration() || duration > absl::Hours(24 * 365 * 100))
    return absl::InvalidArgumentError(absl::StrCat("--since ", written, " is not within the last 100 years"));
  return std::max<std::int64_t>(0, now_ms - absl::ToInt64Milliseconds(duration));
}

}  // namespace mayfly::cli
