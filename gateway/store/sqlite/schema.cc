#include "gateway/store/sqlite/schema.h"

#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/log.h"

namespace mayfly::gateway {
namespace {

// "mayf": tells our file from another program's.
constexpr std::int64_t kApplicationId = 0x6d617966;
constexpr std::int64_t kVersion = 1;
constexpr std::int64_t kPageBytes = 4096;

// events.state: 0 is pending, 1 is a dead letter. `seq` is the order; Tables hands the numbers out.
constexpr char kTables[] = R"sql(
CREATE TABLE triggers(
  id INTEGER PRIMARY KEY,
  function TEXT NOT NULL,
  trigger TEXT NOT NULL,
  accepted INTEGER NOT NULL DEFAULT 0,
  settled INTEGER NOT NULL DEFAULT 0,
  cursor BLOB NOT NULL DEFAULT x'',
  UNIQUE(function, trigger)
);
CREATE TABLE events(
  seq INTEGER PRIMARY KEY,
  record TEXT NOT NULL UNIQUE,
  trigger INTEGER NOT NULL REFERENCES triggers(id),
  state INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  accepted_ms INTEGER NOT NULL,
  died_ms INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  keep_result INTEGER NOT NULL,
  lane TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  problem BLOB NOT NULL DEFAULT x'',
  history BLOB NOT NULL DEFAULT x'',
  event BLOB NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX events_due ON events(trigger, due_ms, seq) WHERE state = 0;
CREATE INDEX events_lane ON events(trigger, lane, seq) WHERE state = 0 AND lane <> '';
CREATE INDEX events_dead ON events(seq) WHERE state = 1;
CREATE TABLE seen(
  number INTEGER PRIMARY KEY,
  key BLOB NOT NULL UNIQUE,
  record TEXT NOT NULL,
  expires_ms INTEGER NOT NULL
);
CREATE TABLE results(
  number INTEGER PRIMARY KEY,
  record TEXT NOT NULL UNIQUE,
  trigger INTEGER NOT NULL REFERENCES triggers(id),
  state INTEGER NOT NULL,
  accepted_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  history BLOB NOT NULL,
  result BLOB NOT NULL,
  expires_ms INTEGER NOT NULL
);
)sql";

bool IsDamage(const absl::Status& status) { return absl::IsDataLoss(status); }

absl::Status CheckAndPrepare(Database& database, const std::string& path, std::uint64_t max_bytes) {
  // The whole file is ours as long as we live: no other process' lock is asked for on each transaction, and WAL needs
  // no shared memory.
  absl::Status status = database.Execute("PRAGMA locking_mode=EXCLUSIVE");
  if (status.ok()) status = database.Execute("PRAGMA journal_mode=WAL");
  if (status.ok()) status = database.Execute("BEGIN IMMEDIATE; COMMIT");
  if (absl::IsFailedPrecondition(status)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the event store ", path,
                     " is in use by another process: stop that one, or choose another folder with --data"));
  }
  if (!status.ok()) return status;
  const absl::StatusOr<std::string> mode = database.QueryText("PRAGMA journal_mode");
  if (!mode.ok()) return mode.status();
  if (*mode != "wal") {
    return absl::FailedPreconditionError(absl::StrCat("the file system of ", path,
                                                      " cannot hold the event store (journal mode ", *mode,
                                                      "): choose another folder with --data"));
  }
  // Every commit is on the disk before anyone is told.
  status = database.Execute(absl::StrCat(
      "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=2048; PRAGMA journal_size_limit=8388608;"
      "PRAGMA cache_size=-16384; PRAGMA temp_store=MEMORY; PRAGMA max_page_count=",
      max_bytes / kPageBytes));
  if (!status.ok()) return status;
  const absl::StatusOr<std::int64_t> synchronous = database.QueryInt("PRAGMA synchronous");
  if (!synchronous.ok()) return synchronous.status();
  if (*synchronous != 2) return absl::InternalError("SQLite did not take synchronous=FULL");
  const absl::StatusOr<std::int64_t> tables = database.QueryInt("SELECT count(*) FROM sqlite_master");
  if (!tables.ok()) return tables.status();
  if (*tables == 0) {
    return database.Execute(absl::StrCat("BEGIN IMMEDIATE;", kTables, "PRAGMA application_id=",
                                         kApplicationId, "; PRAGMA user_version=", kVersion, "; COMMIT"));
  }
  const absl::StatusOr<std::int64_t> application = database.QueryInt("PRAGMA application_id");
  if (!application.ok()) return application.status();
  if (*application != kApplicationId) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, " is a database of another program: move it away, or choose another folder with --data"));
  }
  const absl::StatusOr<std::int64_t> version = database.QueryInt("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (*version != kVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the event store ", path, " has format ", *version, ", and this Mayfly knows format ", kVersion,
        ": run the version that wrote it, or move the file away to begin an empty one"));
  }
  const absl::StatusOr<std::string> sound = database.QueryText("PRAGMA quick_check(1)");
  if (!sound.ok()) return sound.status();
  if (*sound != "ok") return absl::DataLossError(*sound);
  return absl::OkStatus();
}

// Moves the file and what belongs to it away; returns the new name of the first.
absl::StatusOr<std::string> SetAside(const std::string& path) {
  const std::string stamp = absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone());
  std::string target = absl::StrCat(path, ".damaged-", stamp);
  std::error_code error;
  for (int n = 2; std::filesystem::exists(target, error); ++n)
    target = absl::StrCat(path, ".damaged-", stamp, "-", n);
  for (const char* suffix : {"", "-wal", "-shm"}) {
    if (!std::filesystem::exists(path + suffix, error)) continue;
    std::filesystem::rename(path + suffix, target + suffix, error);
    if (error) {
      return absl::DataLossError(absl::StrCat("the event store ", path,
                                              " is damaged and cannot be moved away (", error.message(),
                                              "): move it away to begin an empty one"));
    }
  }
  return target;
}

}  // namespace

absl::StatusOr<OpenedDatabase> OpenEventDatabase(const std::string& path, std::uint64_t max_bytes) {
  OpenedDatabase opened;
  for (int attempt = 0;; ++attempt) {
    absl::StatusOr<std::unique_ptr<Database>> database = Database::Open(path);
    absl::Status status = database.status();
    if (status.ok()) status = CheckAndPrepare(**database, path, max_bytes);
    if (status.ok()) {
      opened.database = *std::move(database);
      return opened;
    }
    if (!IsDamage(status) || attempt > 0)
      return base::WithContext(status, absl::StrCat("event store ", path));
    if (database.ok()) database->reset();
    absl::StatusOr<std::string> target = SetAside(path);
    if (!target.ok()) return target.status();
    base::log::Error(
        "the event store was damaged: it was set aside and an empty one begun; what it holds is not "
        "delivered "
        "unless you recover it, as with `sqlite3 FILE .recover`",
        {{"why", std::string(status.message())}, {"set_aside", *target}});
    opened.set_aside = *std::move(target);
  }
}

}  // namespace mayfly::gateway
