// What was used, added up: by trigger, by function, or by namespace, which is whose it is.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/status.h"
#include "gateway/metering/usage_record.h"

namespace mayfly::cli {

enum class UsageBy { kTrigger, kFunction, kNamespace };

struct UsageTableOptions {
  UsageBy by = UsageBy::kTrigger;
  std::string function{};     // "namespace/name": this one alone; "": all
  std::int64_t since_ms = 0;  // records that end at this time or before are left out
};

class UsageTable {
 public:
  explicit UsageTable(UsageTableOptions options) : options_(std::move(options)) {}

  // A record that comes again counts once.
  void Add(const gateway::UsageRecord& record);

  // `output`: "table" or "json".
  std::string Show(const std::string& output) const;

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // namespace, function, trigger

  std::string ShowTable() const;
  std::string ShowJson() const;

  const UsageTableOptions options_;
  std::map<Key, gateway::UsageSums> rows_;
  std::map<std::string, std::unordered_set<std::uint64_t>> seen_;  // numbers of records by process
  gateway::UsageSums total_;
  std::int64_t from_ms_ = 0;  // of the first record that was taken; 0: of none
  std::int64_t until_ms_ = 0;
};

// "90m", "24h", "7d" before `now_ms`, a time as in 2026-03-01T12:00:00Z, or a day as in 2026-03-01. kInvalidArgument if it
// is none of these.
absl::StatusOr<std::int64_t> ParseSince(std::string_view text, std::int64_t now_ms);

}  // namespace mayfly::cli
