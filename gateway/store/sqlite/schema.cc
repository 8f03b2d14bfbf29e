#include "gateway/store/sqlite/schema.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"
#include "base/log.h"
#include "gateway/store/sqlite/log_review.h"
#include "gateway/store/sqlite/set_aside.h"

namespace mayfly::gateway {
namespace {

// "mayf": tells our file from another program's.
constexpr std::int64_t kApplicationId = 0x6d617966;
constexpr std::int64_t kVersion = 1;
constexpr std::int64_t kPageBytes = 4096;
// A log of 8 MiB is written back.
constexpr std::uint32_t kCheckpointPages = 2048;

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

absl::Status InUse(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat("the event store ", path,
                   " is in use by another process: stop that one, or choose another folder with --data"));
}

// Writes nothing to a database that is there.
absl::Status Lock(Database& database, const std::string& path) {
  // The whole file is ours as long as we live: no other process' lock is asked for on each transaction, and WAL needs
  // no shared memory.
  absl::Status status = database.Execute("PRAGMA locking_mode=EXCLUSIVE");
  if (status.ok()) status = database.Execute("PRAGMA journal_mode=WAL");
  if (status.ok()) status = database.Execute("BEGIN IMMEDIATE; COMMIT");
  return absl::IsFailedPrecondition(status) ? InUse(path) : status;
}

absl::Status CheckAndPrepare(Database& database, const std::string& path, std::uint64_t max_bytes,
                             bool thoroughly) {
  const absl::StatusOr<std::string> mode = database.QueryText("PRAGMA journal_mode");
  if (!mode.ok()) return mode.status();
  if (*mode != "wal") {
    return absl::FailedPreconditionError(absl::StrCat("the file system of ", path,
                                                      " cannot hold the event store (journal mode ", *mode,
                                                      "): choose another folder with --data"));
  }
  // Every commit is on the disk before anyone is told.
  const absl::Status status = database.Execute(
      absl::StrCat("PRAGMA synchronous=FULL; PRAGMA journal_size_limit=8388608;"
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
  // After a loss indexes may be of another time than their tables, which the quick check does not see.
  const absl::StatusOr<std::string> sound =
      database.QueryText(thoroughly ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)");
  if (!sound.ok()) return sound.status();
  if (*sound != "ok") return absl::DataLossError(*sound);
  return absl::OkStatus();
}

// What callers have sent is nobody else's business: the file is its owner's alone, and so are those that SQLite makes beside
// it, with the same mode. One that this user may not change is left as it is.
void MakePrivate(const std::string& path) {
  if (std::error_code error; std::filesystem::is_directory(path, error)) return;
  const base::FileDescriptor made(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (made) return;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    const std::string file = path + suffix;
    struct stat info{};
    if (::stat(file.c_str(), &info) == 0 && (info.st_mode & 077) != 0) ::chmod(file.c_str(), 0600);
  }
}

// With the path and what to do, for what SQLite and the system only name.
absl::Status CannotOpen(const std::string& path, const absl::Status& why) {
  if (absl::IsFailedPrecondition(why) || IsDamage(why))
    return base::WithContext(why, absl::StrCat("event store ", path));
  std::error_code error;
  const char* const remedy = std::filesystem::is_directory(path, error) ? "it is a folder: move that away"
                             : absl::IsResourceExhausted(why)
                                 ? "free disk space"
                                 : "see to it that its folder can be written to, and that the disk works";
  return absl::Status(why.code(), absl::StrCat("the event store ", path, " cannot be opened (", why.message(),
                                               "): ", remedy, ", or choose another folder with --data"));
}

// A log without its database: SQLite would remove it.
absl::Status RefuseLoneLog(const std::string& path, const std::string& log) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (!error && size > 0) return absl::OkStatus();
  const std::uintmax_t log_size = std::filesystem::file_size(log, error);
  if (error || log_size == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the event store ", path, " is gone or empty, while its write-ahead log ", log,
      " is there and holds events: put the database back, or move the log away to begin an empty one"));
}

// Tells what became of a damaged log, and begins to keep the mark.
absl::Status BeginLog(OpenedDatabase& opened, const std::string& path, const LogReview& review) {
  const WriteAheadLog& log = review.log;
  Database& database = *opened.database;
  if (review.trouble.empty()) {
    const std::optional<CommitMark::Value>& last = opened.keeper->mark().value();
    const bool same = last && last->salt1 == log.salt1 && last->salt2 == log.salt2;
    opened.keeper->mark().Set({log.salt1, log.salt2, log.committed, same ? last->in_database : 0}, true);
  } else {
    const absl::StatusOr<std::int64_t> events = database.QueryInt("SELECT count(*) FROM events");
    if (!events.ok()) return events.status();
    if (absl::Status status = database.Execute("PRAGMA wal_checkpoint(TRUNCATE)"); !status.ok())
      return status;
    constexpr char kMended[] = "the event store's write-ahead log was damaged and is mended; nothing is lost";
    constexpr char kLost[] =
        "the event store has lost the last of what it had accepted: have it sent again; what is sound was "
        "kept, "
        "and the damaged files were copied before anything was written";
    (review.costs ? base::log::Error : base::log::Warn)(review.costs ? kLost : kMended,
                                                        {{"path", path},
                                                         {"why", review.trouble},
                                                         {"recovered_transactions", log.commits},
                                                         {"events_now", *events},
                                                         {"copy", opened.set_aside}});
    opened.keeper->mark().Set({}, true);
  }
  opened.keeper->Watch(database);
  database.EmptyLogAtEnd();
  return absl::OkStatus();
}

struct Prepared {
  std::unique_ptr<Database> database;
  absl::Status status;
};

Prepared OpenAndLock(const std::string& path) {
  Prepared prepared;
  absl::StatusOr<std::unique_ptr<Database>> database = Database::Open(path);
  prepared.status = database.status();
  if (!database.ok()) return prepared;
  prepared.database = *std::move(database);
  prepared.status = Lock(*prepared.database, path);
  return prepared;
}

}  // namespace

absl::StatusOr<OpenedDatabase> OpenEventDatabase(const std::string& path, std::uint64_t max_bytes) {
  absl::StatusOr<std::unique_ptr<CommitMark>> mark = CommitMark::Open(path + ".mark");
  if (absl::IsFailedPrecondition(mark.status())) return InUse(path);
  if (!mark.ok()) return CannotOpen(path, mark.status());
  OpenedDatabase opened;
  opened.keeper = std::make_unique<LogKeeper>(path, *std::move(mark), kCheckpointPages);
  for (int attempt = 0;; ++attempt) {
    if (absl::Status status = RefuseLoneLog(path, path + "-wal"); !status.ok()) return status;
    MakePrivate(path);
    Prepared prepared = OpenAndLock(path);
    absl::StatusOr<LogReview> review = LogReview();
    // Nobody else has the files now, and SQLite has only read them.
    if (prepared.status.ok()) {
      review = ReviewLog(path, opened.keeper->mark().value(), kPageBytes);
      prepared.status.Update(review.status());
    }
    if (prepared.status.ok() && !review->trouble.empty()) {
      prepared.database.reset();
      absl::StatusOr<std::string> target = CopyAside(path, review->trouble);
      if (!target.ok()) return target.status();
      opened.set_aside = *std::move(target);
      if (review->costs) opened.loss = review->trouble;
      prepared.status = MendLog(path, *review);
      if (prepared.status.ok()) prepared = OpenAndLock(path);
    }
    if (prepared.status.ok())
      prepared.status = CheckAndPrepare(*prepared.database, path, max_bytes, review->costs);
    if (prepared.status.ok()) {
      opened.database = std::move(prepared.database);
      if (absl::Status status = BeginLog(opened, path, *review); !status.ok())
        return CannotOpen(path, status);
      return opened;
    }
    if (!IsDamage(prepared.status) || attempt > 0) return CannotOpen(path, prepared.status);
    prepared.database.reset();
    absl::StatusOr<std::string> target = SetAside(path);
    if (!target.ok()) return target.status();
    base::log::Error(
        "the event store was damaged: it was set aside and an empty one begun; what it holds is not "
        "delivered "
        "unless you recover it, as with `sqlite3 FILE .recover`",
        {{"why", std::string(prepared.status.message())}, {"set_aside", *target}});
    opened.set_aside = *std::move(target);
    opened.loss = std::string(prepared.status.message());
    opened.keeper->mark().Set({}, true);
  }
}

}  // namespace mayfly::gateway
