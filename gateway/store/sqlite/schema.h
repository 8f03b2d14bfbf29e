// Opens the file of an event store: checks it and its write-ahead log, makes its tables, and sets aside one that is damaged.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "gateway/store/sqlite/database.h"
#include "gateway/store/sqlite/log_keeper.h"

namespace mayfly::gateway {

struct OpenedDatabase {
  std::unique_ptr<LogKeeper> keeper;
  std::unique_ptr<Database> database;
  // Where a damaged file was moved to, or copied if only its log was damaged; "" if there was none.
  std::string set_aside;
  // What was damaged and may have cost events; "" if nothing was.
  std::string loss;
};

// `max_bytes` bounds the file. kFailedPrecondition if another process has the store, a newer Mayfly has written it, or no copy
// of what is damaged can be made: the message says which, and what to do.
//
// Of a damaged log everything is recovered up to the damage, and all of it if only its header is wrong or the database has it.
absl::StatusOr<OpenedDatabase> OpenEventDatabase(const std::string& path, std::uint64_t max_bytes);

}  // namespace mayfly::gateway
