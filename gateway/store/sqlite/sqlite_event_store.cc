#include "gateway/store/sqlite/sqlite_event_store.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"
#include "base/log.h"
#include "base/thread.h"
#include "gateway/store/sqlite/database.h"
#include "gateway/store/sqlite/event_tables.h"
#include "gateway/store/sqlite/log_keeper.h"
#include "gateway/store/sqlite/schema.h"

namespace mayfly::gateway {
namespace {

// Of one transaction: enough that the fsync is shared, and few enough that nobody waits long.
constexpr std::size_t kMostAtOnce = 8'192;
constexpr std::size_t kMostBytesAtOnce = std::size_t{16} << 20;
constexpr std::chrono::seconds kLookAgain{1};
// Free space below which nothing new is taken, beside the reserve.
constexpr std::uint64_t kLeastFree = std::uint64_t{2} << 20;

UnixMs ToMs(base::WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

// Whether an operation failed, rather than the database below it.
bool OfOneOperation(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsFailedPrecondition(status);
}

absl::Status NoRoom(const std::string& path) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "the event store has no room left in ", path,
      ": free disk space, or settle or purge what it holds; nothing new is accepted until then"));
}

}  // namespace

SqliteEventStore::SqliteEventStore(SqliteStoreOptions options, const base::Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      reserve_path_(options_.path + ".reserve"),
      opened_at_(clock.Now()),
      opened_ms_(ToMs(clock.WallNow())) {}

absl::StatusOr<std::unique_ptr<SqliteEventStore>> SqliteEventStore::Open(SqliteStoreOptions options,
                                                                         const base::Clock& clock) {
  std::unique_ptr<SqliteEventStore> store(new SqliteEventStore(std::move(options), clock));
  absl::StatusOr<OpenedDatabase> opened = OpenEventDatabase(store->options_.path, store->options_.max_bytes);
  if (!opened.ok()) return opened.status();
  store->keeper_ = std::move(opened->keeper);
  store->database_ = std::move(opened->database);
  store->set_aside_ = std::move(opened->set_aside);
  store->loss_ = std::move(opened->loss);
  EventTableLimits limits;
  limits.dedup_window_ms = store->options_.dedup_window.count();
  limits.most_seen = static_cast<std::int64_t>(store->options_.most_seen);
  limits.result_ttl_ms = store->options_.result_ttl.count();
  absl::StatusOr<std::unique_ptr<EventTables>> tables = EventTables::Open(*store->database_, limits);
  if (!tables.ok()) return tables.status();
  store->tables_ = *std::move(tables);
  store->TakeReserve();
  store->thread_ =
      base::StartThread("event-store", [raw = store.get()](const std::stop_token& stop) { raw->Run(stop); });
  return store;
}

SqliteEventStore::~SqliteEventStore() { Stop(std::chrono::steady_clock::now() + std::chrono::seconds(5)); }

UnixMs SqliteEventStore::Now() const {
  return opened_ms_ +
         std::chrono::duration_cast<std::chrono::milliseconds>(clock_.Now() - opened_at_).count();
}

template <typename T>
void SqliteEventStore::Ask(bool adds, std::size_t bytes,
                           std::function<absl::StatusOr<T>(EventTables&, UnixMs now)> run, Callback<T> done) {
  auto result = std::make_shared<absl::StatusOr<T>>(absl::UnknownError("not run"));
  Enqueue({.adds = adds,
           .bytes = bytes,
           .run =
               [result, run = std::move(run)](EventTables& tables, UnixMs now) {
                 *result = run(tables, now);
                 return result->status();
               },
           .finish =
               [result, done = std::move(done)](const absl::Status& status) {
                 if (!status.ok()) {
                   done(status);
                 } else {
                   done(*std::move(result));
                 }
               },
           .status = {}});
}

void SqliteEventStore::Tell(bool adds, std::size_t bytes,
                            std::function<absl::Status(EventTables&, UnixMs now)> run, Done done) {
  Enqueue({.adds = adds, .bytes = bytes, .run = std::move(run), .finish = std::move(done), .status = {}});
}

void SqliteEventStore::Enqueue(Operation operation) {
  absl::Status refused;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      refused = absl::UnavailableError("the event store is stopped");
    } else if (operation.adds &&
               (queue_.size() >= options_.max_queued || queued_bytes_ >= options_.max_queued_bytes)) {
      refused = absl::ResourceExhaustedError(
          absl::StrCat("the event store has ", queue_.size(), " writes waiting: try again in a moment"));
    } else {
      queued_bytes_ += operation.bytes;
      queue_.push_back(std::move(operation));
    }
  }
  if (!refused.ok()) {
    operation.finish(refused);
    return;
  }
  changed_.notify_one();
}

void SqliteEventStore::OnDue(std::function<void(const TriggerKey&)> due) {
  {
    const std::lock_guard lock(mutex_);
    on_due_ = std::move(due);
  }
  // What was found at opening.
  Tell(
      false, 0,
      [this](EventTables& tables, UnixMs) {
        for (TriggerKey& key : tables.WithPending()) due_.insert(std::move(key));
        return absl::OkStatus();
      },
      [](const absl::Status&) {});
}

void SqliteEventStore::Accept(NewEvent event, Callback<Accepted> done) {
  const std::size_t bytes = event.body.size() + 512;
  auto shared = std::make_shared<NewEvent>(std::move(event));
  Ask<Accepted>(
      true, bytes, [shared](EventTables& tables, UnixMs now) { return tables.Accept(*shared, now); },
      std::move(done));
}

void SqliteEventStore::Lease(const TriggerKey& trigger, std::size_t most, std::size_t most_bytes,
                             Callback<LeaseBatch> done) {
  Ask<LeaseBatch>(
      false, 0,
      [trigger, most, most_bytes](EventTables& tables, UnixMs now) {
        return tables.Lease(trigger, most, most_bytes, now);
      },
      std::move(done));
}

void SqliteEventStore::Finish(std::vector<EventOutcome> outcomes, Done done) {
  auto shared = std::make_shared<std::vector<EventOutcome>>(std::move(outcomes));
  std::size_t bytes = 0;
  bool adds = false;
  for (const EventOutcome& outcome : *shared) {
    for (const NewEvent& next : outcome.next) {
      bytes += next.body.size() + 512;
      adds = true;
    }
  }
  Tell(
      adds, bytes,
      [this, shared](EventTables& tables, UnixMs now) {
        for (const EventOutcome& outcome : *shared) {
          if (absl::Status status = tables.Finish(outcome, now, &due_); !status.ok()) return status;
        }
        return absl::OkStatus();
      },
      std::move(done));
}

void SqliteEventStore::Park(DeadLetter letter, Done done) {
  const std::size_t bytes = letter.body.size() + 512;
  auto shared = std::make_shared<DeadLetter>(std::move(letter));
  Tell(
      true, bytes, [shared](EventTables& tables, UnixMs now) { return tables.Park(*shared, now); },
      std::move(done));
}

void SqliteEventStore::Cancel(const std::string& record, Done done) {
  Tell(
      false, 0, [record](EventTables& tables, UnixMs now) { return tables.Cancel(record, now); },
      std::move(done));
}

void SqliteEventStore::Find(const std::string& record, Callback<EventView> done) {
  Ask<EventView>(
      false, 0, [record](EventTables& tables, UnixMs now) { return tables.Find(record, now); },
      std::move(done));
}

void SqliteEventStore::ListPending(EventSelection selection, Callback<std::vector<EventView>> done) {
  Ask<std::vector<EventView>>(
      false, 0,
      [selection = std::move(selection)](EventTables& tables, UnixMs) {
        return tables.ListPending(selection);
      },
      std::move(done));
}

void SqliteEventStore::ListDead(EventSelection selection, Callback<std::vector<DeadLetter>> done) {
  Ask<std::vector<DeadLetter>>(
      false, 0,
      [selection = std::move(selection)](EventTables& tables, UnixMs) { return tables.ListDead(selection); },
      std::move(done));
}

void SqliteEventStore::Redrive(EventSelection selection, Callback<std::size_t> done) {
  Ask<std::size_t>(
      false, 0,
      [this, selection = std::move(selection)](EventTables& tables, UnixMs now) {
        return tables.Redrive(selection, now, &due_);
      },
      std::move(done));
}

void SqliteEventStore::Purge(EventSelection selection, Callback<std::size_t> done) {
  Ask<std::size_t>(
      false, 0,
      [selection = std::move(selection)](EventTables& tables, UnixMs) { return tables.Purge(selection); },
      std::move(done));
}

void SqliteEventStore::Counts(Callback<std::vector<TriggerCounts>> done) {
  // Told after the transaction in which they are asked for, so that what that has changed is in them.
  Enqueue({.adds = false,
           .bytes = 0,
           .run = [](EventTables&, UnixMs) { return absl::OkStatus(); },
           .finish =
               [this, done = std::move(done)](const absl::Status& status) {
                 if (!status.ok()) {
                   done(status);
                 } else {
                   done(tables_->Counts());
                 }
               },
           .status = {}});
}

void SqliteEventStore::ReadCursor(const TriggerKey& trigger, Callback<std::string> done) {
  Ask<std::string>(
      false, 0, [trigger](EventTables& tables, UnixMs) { return tables.ReadCursor(trigger); },
      std::move(done));
}

void SqliteEventStore::SaveCursor(const TriggerKey& trigger, std::string cursor, Done done) {
  Tell(
      true, cursor.size(),
      [trigger, cursor](EventTables& tables, UnixMs) { return tables.SaveCursor(trigger, cursor); },
      std::move(done));
}

absl::Status SqliteEventStore::health() const {
  const std::lock_guard lock(health_mutex_);
  return health_;
}

void SqliteEventStore::SetHealth(absl::Status health) {
  const std::lock_guard lock(health_mutex_);
  health_ = std::move(health);
}

void SqliteEventStore::Stop(std::chrono::steady_clock::time_point deadline) {
  std::deque<Operation> refused;
  {
    std::unique_lock lock(mutex_);
    if (!thread_.joinable()) return;
    stopping_ = true;
    changed_.notify_all();
    changed_.wait_until(lock, deadline, [this] { return queue_.empty(); });
    refused.swap(queue_);
  }
  thread_.request_stop();
  thread_.join();
  thread_ = {};
  for (Operation& operation : refused) operation.finish(absl::UnavailableError("the event store is stopped"));
  tables_.reset();
  // So that the mark does not miss what SQLite is about to remove.
  keeper_->Checkpoint(*database_).IgnoreError();
  database_.reset();
  keeper_.reset();
  ::unlink(reserve_path_.c_str());
}

void SqliteEventStore::Run(const std::stop_token& stop) {
  bool forget_more = false;
  base::MonotonicTime forget_at = clock_.Now();
  for (;;) {
    Batch batch;
    std::function<void(const TriggerKey&)> on_due;
    {
      std::unique_lock lock(mutex_);
      const auto wake = [this] { return !queue_.empty() || stopping_; };
      // Woken once a minute without work, to forget ids and results.
      const base::MonotonicTime until = no_room_ ? look_again_ : forget_more ? clock_.Now() : forget_at;
      clock_.WaitUntil(lock, changed_, stop, until, wake);
      std::size_t bytes = 0;
      while (!queue_.empty() && batch.size() < kMostAtOnce && bytes < kMostBytesAtOnce) {
        bytes += queue_.front().bytes;
        batch.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
      queued_bytes_ -= bytes;
      on_due = on_due_;
      if (batch.empty() && (stopping_ || stop.stop_requested())) break;
    }
    if (no_room_ && failed_.ok() && clock_.Now() >= look_again_) HasRoom();
    if (failed_.ok() && (forget_more || clock_.Now() >= forget_at)) {
      forget_at = clock_.Now() + std::chrono::minutes(1);
      Operation forget{.adds = false,
                       .bytes = 0,
                       .run =
                           [&forget_more](EventTables& tables, UnixMs now) {
                             const absl::StatusOr<bool> more = tables.Forget(now);
                             forget_more = more.ok() && *more;
                             return more.status();
                           },
                       .finish = [](const absl::Status&) {},
                       .status = {}};
      batch.push_back(std::move(forget));
    }
    if (!batch.empty()) Execute(batch);
    for (Operation& operation : batch) operation.finish(operation.status);
    batch.clear();
    for (const TriggerKey& key : std::exchange(due_, {})) {
      if (on_due) on_due(key);
    }
    {
      // Whoever stops waits for the queue to be empty, and what was taken from it to be done.
      const std::lock_guard lock(mutex_);
      if (stopping_) changed_.notify_all();
    }
  }
}

void SqliteEventStore::Execute(Batch& batch) {
  std::vector<Operation*> operations;
  for (Operation& operation : batch) {
    if (!failed_.ok()) {
      operation.status = failed_;
    } else if (operation.adds && no_room_) {
      operation.status = NoRoom(options_.path);
    } else {
      operations.push_back(&operation);
    }
  }
  if (operations.empty()) return;
  absl::Status status = Transact(operations);
  if (absl::IsResourceExhausted(status)) {
    no_room_ = true;
    look_again_ = clock_.Now() + kLookAgain;
    base::log::Error("the event store accepts nothing new", {{"why", std::string(status.message())}});
    SetHealth(NoRoom(options_.path));
    std::erase_if(operations, [&](Operation* operation) {
      if (operation->adds) operation->status = NoRoom(options_.path);
      return operation->adds;
    });
    status = operations.empty() ? absl::OkStatus() : Transact(operations);
    if (absl::IsResourceExhausted(status)) {
      GiveUpReserve();
      status = Transact(operations);
    }
  }
  if (status.ok()) return;
  if (!absl::IsResourceExhausted(status) && !absl::IsAborted(status)) {
    Fail(status);
    for (Operation* operation : operations) operation->status = failed_;
    return;
  }
  // One of them cannot be done: the others are.
  for (Operation* operation : operations) {
    if (operations.size() > 1) status = Transact({operation});
    if (!status.ok()) operation->status = status;
  }
}

absl::Status SqliteEventStore::Transact(const std::vector<Operation*>& operations) {
  const UnixMs now = Now();
  absl::Status status = database_->Execute("BEGIN IMMEDIATE");
  for (Operation* operation : operations) {
    if (!status.ok()) break;
    operation->status = operation->run(*tables_, now);
    if (!operation->status.ok() && !OfOneOperation(operation->status)) status = operation->status;
  }
  if (status.ok()) status = tables_->Committing();
  if (status.ok()) status = database_->Execute("COMMIT");
  if (status.ok()) {
    tables_->Committed();
    return status;
  }
  // SQLite may have rolled back itself.
  if (database_->in_transaction()) database_->Execute("ROLLBACK").IgnoreError();
  tables_->RolledBack();
  due_.clear();
  return status;
}

bool SqliteEventStore::HasRoom() {
  struct statvfs space{};
  const bool known = ::statvfs(options_.path.c_str(), &space) == 0;
  const std::uint64_t wanted = kLeastFree + (reserve_ ? 0 : options_.reserve_bytes);
  const bool disk = !known || std::uint64_t{space.f_bavail} * space.f_frsize >= wanted;
  const absl::StatusOr<std::int64_t> pages = database_->QueryInt("PRAGMA page_count");
  const absl::StatusOr<std::int64_t> most = database_->QueryInt("PRAGMA max_page_count");
  const absl::StatusOr<std::int64_t> unused = database_->QueryInt("PRAGMA freelist_count");
  const bool quota = !pages.ok() || !most.ok() || !unused.ok() || *pages - *unused < *most - *most / 16;
  look_again_ = clock_.Now() + kLookAgain;
  if (!disk || !quota) return false;
  no_room_ = false;
  TakeReserve();
  SetHealth(absl::OkStatus());
  base::log::Info("the event store accepts events again", {{"path", options_.path}});
  return true;
}

void SqliteEventStore::GiveUpReserve() {
  ::unlink(reserve_path_.c_str());
  reserve_ = false;
  // The reserve is larger than the log may be, so there is room to empty that into the database.
  const absl::Status emptied = keeper_->EmptyLog(*database_);
  if (!emptied.ok())
    base::log::Warn("the event store's log stays", {{"why", std::string(emptied.message())}});
}

void SqliteEventStore::TakeReserve() {
  if (options_.reserve_bytes == 0) return;
  const base::FileDescriptor file(::open(reserve_path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  reserve_ =
      file.valid() && ::posix_fallocate(file.get(), 0, static_cast<off_t>(options_.reserve_bytes)) == 0;
  if (!reserve_) ::unlink(reserve_path_.c_str());
}

void SqliteEventStore::Fail(const absl::Status& why) {
  failed_ = absl::Status(
      absl::IsDataLoss(why) ? absl::StatusCode::kDataLoss : absl::StatusCode::kUnavailable,
      absl::StrCat("the event store ", options_.path,
                   " has stopped, as its file cannot be trusted any more (", why.message(),
                   "): look at the disk, then start Mayfly again; what was accepted is in the file"));
  base::log::Error("the event store has stopped", {{"why", std::string(failed_.message())}});
  SetHealth(failed_);
}

}  // namespace mayfly::gateway
