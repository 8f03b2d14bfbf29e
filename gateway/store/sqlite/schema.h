// Opens the file of an event store: checks it, makes its tables, and sets aside one that is damaged.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "gateway/store/sqlite/database.h"

namespace mayfly::gateway {

struct OpenedDatabase {
  std::unique_ptr<Database> database;
  // Where a damaged file was moved to; "" if there was none.
  std::string set_aside;
};

// `max_bytes` bounds the file. kFailedPrecondition if another process has the store, or a newer Mayfly has written it: the
// message says which, and what to do.
absl::StatusOr<OpenedDatabase> OpenEventDatabase(const std::string& path, std::uint64_t max_bytes);

}  // namespace mayfly::gateway
