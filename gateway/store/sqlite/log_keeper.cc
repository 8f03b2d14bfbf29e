#include "gateway/store/sqlite/log_keeper.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace mayfly::gateway {

LogKeeper::LogKeeper(const std::string& path, std::unique_ptr<CommitMark> mark,
                     std::uint32_t checkpoint_pages)
    : log_path_(path + "-wal"), mark_(std::move(mark)), checkpoint_pages_(checkpoint_pages) {}

void LogKeeper::Watch(Database& database) {
  database.OnCommit([this, &database](std::uint32_t pages) { Committed(database, pages); });
}

void LogKeeper::Committed(Database& database, std::uint32_t pages) {
  // SQLite opens the log once, and has its locks on other files.
  if (!log_) log_.Reset(::open(log_path_.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<std::uint32_t, 2> salts{};
  if (log_ && ::pread(log_.get(), salts.data(), sizeof salts, 16) == sizeof salts) {
    CommitMark::Value value{.salt1 = ntohl(salts[0]), .salt2 = ntohl(salts[1]), .committed = pages};
    const std::optional<CommitMark::Value>& last = mark_->value();
    if (last && last->salt1 == value.salt1 && last->salt2 == value.salt2)
      value.in_database = last->in_database;
    mark_->Set(value, false);
  }
  // One that does not get to its end is tried again with the next transaction, and reported by what fails then.
  if (pages >= checkpoint_pages_) Checkpoint(database).IgnoreError();
}

absl::StatusOr<bool> LogKeeper::Checkpoint(Database& database) {
  absl::StatusOr<bool> all = database.Checkpoint();
  if (all.ok() && *all && mark_->value()) {
    CommitMark::Value value = *mark_->value();
    value.in_database = value.committed;
    mark_->Set(value, true);
  }
  return all;
}

absl::Status LogKeeper::EmptyLog(Database& database) {
  const absl::StatusOr<bool> all = Checkpoint(database);
  if (!all.ok()) return all.status();
  return *all ? database.Execute("PRAGMA wal_checkpoint(TRUNCATE)")
              : absl::UnavailableError("it cannot be written back");
}

}  // namespace mayfly::gateway
