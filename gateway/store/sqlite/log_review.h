// Whether a write-ahead log is what the last owner of its database left, and how to go on if it is not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "gateway/store/sqlite/commit_mark.h"
#include "gateway/store/sqlite/write_ahead_log.h"

namespace mayfly::gateway {

struct LogReview {
  WriteAheadLog log;
  std::string trouble;    // "" if there is none
  bool costs = false;     // transactions, perhaps
  bool needless = false;  // all of the log is in the database
};

// Reads only. `path` is the database's. REQUIRES: no other process writes to it.
absl::StatusOr<LogReview> ReviewLog(const std::string& path, const std::optional<CommitMark::Value>& mark,
                                    std::uint32_t page_bytes);

// Makes of the log what SQLite can recover. REQUIRES: the database is not open.
absl::Status MendLog(const std::string& path, const LogReview& review);

}  // namespace mayfly::gateway
