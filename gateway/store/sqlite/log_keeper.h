// A LogKeeper keeps the CommitMark of a database true to its write-ahead log, and writes that back when it is long enough.
//
// Belongs to the thread of its database, which it outlives.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file_descriptor.h"
#include "gateway/store/sqlite/commit_mark.h"
#include "gateway/store/sqlite/database.h"

namespace mayfly::gateway {

class LogKeeper {
 public:
  // `path` is the database's.
  LogKeeper(const std::string& path, std::unique_ptr<CommitMark> mark, std::uint32_t checkpoint_pages);

  CommitMark& mark() { return *mark_; }
  // From now on.
  void Watch(Database& database);
  // Writes the log back and notes that. False if that did not get to its end.
  absl::StatusOr<bool> Checkpoint(Database& database);
  // The same, and gives the log's room back.
  absl::Status EmptyLog(Database& database);

 private:
  void Committed(Database& database, std::uint32_t pages);

  const std::string log_path_;
  const std::unique_ptr<CommitMark> mark_;
  const std::uint32_t checkpoint_pages_;
  base::FileDescriptor log_;
};

}  // namespace mayfly::gateway
