// A UsageRecord says what the invocations of one trigger have cost within one stretch of time: what is billed by.
//
// Records are lines of JSON, of which none is ever changed. Each holds what came since the one before, so their sum is
// the sum of what they are of, over restarts too. A line has a number that no other of its process has: one that was
// copied twice on its way is told by it. docs/reference/usage-records.md has the fields.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"

namespace mayfly::gateway {

struct UsageSums {
  std::uint64_t invocations = 0;
  std::uint64_t wall_us = 0;
  std::uint64_t cpu_us = 0;
  // Peak resident memory of the worker times wall time: 10^9 of these are a gigabyte second.
  std::uint64_t memory_kb_ms = 0;

  UsageSums& operator+=(const UsageSums& more);
  bool operator==(const UsageSums&) const = default;
};

struct UsageRecord {
  // Milliseconds since 1970: what is counted ended after `from`, and not after `until`.
  std::int64_t from_ms = 0;
  std::int64_t until_ms = 0;
  std::string gateway;
  std::string instance;  // of the gateway's process
  std::uint64_t number = 0;
  std::string function;  // "namespace/name"
  std::string trigger;   // "": by the function's own name
  UsageSums sums;
};

// One line, with its end.
std::string ToLine(const UsageRecord& record);

// kInvalidArgument if `line` is no record.
absl::StatusOr<UsageRecord> ParseUsageRecord(std::string_view line);

}  // namespace mayfly::gateway
