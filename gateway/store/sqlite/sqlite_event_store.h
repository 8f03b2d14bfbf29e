// A SqliteEventStore keeps events in one file of this machine: for `mayfly up`, and for a gateway that is alone.
//
// One thread, `event-store`, owns the database. It takes whatever was asked for since it looked last and does it in one
// transaction, with one fsync: the more is asked for at once, the cheaper is each. Callbacks come when that fsync is
// done, and are called on that thread.
//
// When the disk is full, what is new is refused and says so, while outcomes, dead letters and purges go on: a reserve
// file beside the database is given up for them, and taken again once there is room. A write or an fsync that fails in
// another way stops the store for good, as nobody knows what is on the disk then: everything is refused with the reason
// until the process is started again. What was told OK before is on the disk.
//
// Thread-safe. One mutex, that of the queue; nothing is called with it held.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "gateway/store/event_store.h"

namespace mayfly::gateway {

struct SqliteStoreOptions {
  std::string path;  // the folder must be there
  std::chrono::milliseconds dedup_window = std::chrono::minutes(10);
  std::size_t most_seen = 2'000'000;  // ids remembered within the window, at most
  std::chrono::milliseconds result_ttl = std::chrono::hours(1);
  std::uint64_t max_bytes = std::uint64_t{8} << 30;       // of the file
  std::uint64_t reserve_bytes = std::uint64_t{12} << 20;  // more than the log of schema.cc may have
  // What may wait to be written; beyond it, Accept() is refused.
  std::size_t max_queued = 65'536;
  std::size_t max_queued_bytes = std::size_t{64} << 20;
};

class EventTables;
class Database;
class LogKeeper;

class SqliteEventStore final : public EventStore {
 public:
  // Opens or makes the file, for its owner alone; one that is damaged is set aside (see set_aside()). `clock` must outlive the store.
  static absl::StatusOr<std::unique_ptr<SqliteEventStore>> Open(SqliteStoreOptions options,
                                                                const base::Clock& clock);
  ~SqliteEventStore() override;

  // Where a damaged file was moved to at opening, or copied if only its log was; "" if there was none.
  const std::string& set_aside() const { return set_aside_; }
  // What was found at opening that may have cost events; "" if nothing was.
  const std::string& loss() const { return loss_; }

  void OnDue(std::function<void(const TriggerKey&)> due) override;
  void Accept(NewEvent event, Callback<Accepted> done) override;
  void Lease(const TriggerKey& trigger, std::size_t most, std::size_t most_bytes,
             Callback<LeaseBatch> done) override;
  void Finish(std::vector<EventOutcome> outcomes, Done done) override;
  void Park(DeadLetter letter, Done done) override;
  void Cancel(const std::string& record, Done done) override;
  void Find(const std::string& record, Callback<EventView> done) override;
  void ListPending(EventSelection selection, Callback<std::vector<EventView>> done) override;
  void ListDead(EventSelection selection, Callback<std::vector<DeadLetter>> done) override;
  void Redrive(EventSelection selection, Callback<std::size_t> done) override;
  void Purge(EventSelection selection, Callback<std::size_t> done) override;
  void Counts(Callback<std::vector<TriggerCounts>> done) override;
  void ReadCursor(const TriggerKey& trigger, Callback<std::string> done) override;
  void SaveCursor(const TriggerKey& trigger, std::string cursor, Done done) override;
  absl::Status health() const override;
  void Stop(std::chrono::steady_clock::time_point deadline) override;

 private:
  // `run` is called in a transaction, perhaps more than once, and keeps its result for `finish`, which is called once,
  // with what became of the transaction.
  struct Operation {
    bool adds = false;  // refused while there is no room
    std::size_t bytes = 0;
    std::function<absl::Status(EventTables&, UnixMs now)> run;
    std::function<void(const absl::Status&)> finish;
    absl::Status status;
  };
  using Batch = std::vector<Operation>;

  SqliteEventStore(SqliteStoreOptions options, const base::Clock& clock);

  template <typename T>
  void Ask(bool adds, std::size_t bytes, std::function<absl::StatusOr<T>(EventTables&, UnixMs now)> run,
           Callback<T> done);
  void Tell(bool adds, std::size_t bytes, std::function<absl::Status(EventTables&, UnixMs now)> run,
            Done done);
  void Enqueue(Operation operation);

  // On the store's thread.
  void Run(const std::stop_token& stop);
  void Execute(Batch& batch);
  // Runs those of `operations` in one transaction; an error is of the transaction, and nothing of it is there then.
  absl::Status Transact(const std::vector<Operation*>& operations);
  bool HasRoom();
  void GiveUpReserve();
  void TakeReserve();
  void Fail(const absl::Status& why);
  void SetHealth(absl::Status health);
  UnixMs Now() const;

  const SqliteStoreOptions options_;
  const base::Clock& clock_;
  const std::string reserve_path_;
  const base::MonotonicTime opened_at_;
  const UnixMs opened_ms_;
  std::string set_aside_;
  std::string loss_;

  // Of the store's thread, once it runs.
  std::unique_ptr<LogKeeper> keeper_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<EventTables> tables_;
  absl::Status failed_;  // not OK: for good
  bool no_room_ = false;
  bool reserve_ = false;  // the file is there
  base::MonotonicTime look_again_{};
  std::set<TriggerKey> due_;  // to be told after the transaction

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Operation> queue_;                    // guarded by mutex_
  std::size_t queued_bytes_ = 0;                   // guarded by mutex_
  bool stopping_ = false;                          // guarded by mutex_
  std::function<void(const TriggerKey&)> on_due_;  // guarded by mutex_
  mutable std::mutex health_mutex_;
  absl::Status health_;  // guarded by health_mutex_
  std::jthread thread_;
};

}  // namespace mayfly::gateway
