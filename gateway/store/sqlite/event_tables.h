// EventTables are the operations of an event store on the tables of its database, one by one.
//
// Whoever calls them holds a transaction open, and ends it with Committing() before and Committed() or RolledBack()
// after: what is kept in memory beside the database (who is leased, how far each trigger was looked through, counts)
// follows it.
//
// How leasing is cheap: within a trigger, events are looked through in the order (due, seq), and each trigger remembers
// how far. What becomes due again always comes behind that place. An event that stands behind another one of its lane
// is passed over, and moved behind the place when that one ends.
//
// Belongs to one thread. Times are milliseconds, given by the caller, and never go back.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "gateway/store/event_store.h"
#include "gateway/store/sqlite/database.h"

namespace mayfly::gateway {

struct EventTableLimits {
  std::int64_t dedup_window_ms = 600'000;
  std::int64_t most_seen =
      2'000'000;  // the oldest ids are forgotten sooner if there are more within the window
  std::int64_t result_ttl_ms = 3'600'000;
};

class EventTables {
 public:
  // Reads what is kept in memory. `database` must outlive the tables.
  static absl::StatusOr<std::unique_ptr<EventTables>> Open(Database& database, EventTableLimits limits);

  absl::StatusOr<Accepted> Accept(const NewEvent& event, UnixMs now);
  absl::StatusOr<LeaseBatch> Lease(const TriggerKey& key, std::size_t most, std::size_t most_bytes,
                                   UnixMs now);
  // The triggers of what comes next go to `due`.
  absl::Status Finish(const EventOutcome& outcome, UnixMs now, std::set<TriggerKey>* due);
  absl::Status Park(const DeadLetter& letter, UnixMs now);
  absl::Status Cancel(const std::string& record, UnixMs now);
  absl::StatusOr<EventView> Find(const std::string& record, UnixMs now);
  absl::StatusOr<std::vector<EventView>> ListPending(const EventSelection& selection);
  absl::StatusOr<std::vector<DeadLetter>> ListDead(const EventSelection& selection);
  // The triggers of those that were redriven go to `triggers`.
  absl::StatusOr<std::size_t> Redrive(const EventSelection& selection, UnixMs now,
                                      std::set<TriggerKey>* triggers);
  absl::StatusOr<std::size_t> Purge(const EventSelection& selection);
  absl::StatusOr<std::string> ReadCursor(const TriggerKey& key);
  absl::Status SaveCursor(const TriggerKey& key, const std::string& cursor);
  std::vector<TriggerCounts> Counts() const;
  std::vector<TriggerKey> WithPending() const;

  // Forgets some of the ids and results whose time has passed; true if there may be more.
  absl::StatusOr<bool> Forget(UnixMs now);

  absl::Status Committing();
  void Committed();
  void RolledBack();

 private:
  using Place = std::pair<std::int64_t, std::int64_t>;  // (due, seq)
  static constexpr Place kBeginning{INT64_MIN, INT64_MIN};

  struct Trigger {
    TriggerKey key;
    std::int64_t id = 0;
    TriggerCounts counts;       // as committed
    std::int64_t accepted = 0;  // changes of the transaction
    std::int64_t settled = 0;
    std::int64_t dead = 0;
    std::int64_t pending = 0;
    Place place = kBeginning;
  };
  struct Row {
    std::int64_t seq = 0;
    Trigger* trigger = nullptr;
    std::int64_t state = 0;
    std::string lane;
    bool keep_result = false;
    std::int64_t accepted_ms = 0;
    std::int64_t attempts = 0;
    std::string history;
  };

  EventTables(Database& database, EventTableLimits limits) : database_(database), limits_(limits) {}
  absl::Status Load();
  // Prepared at the first use. The reference is valid as long as the tables are.
  absl::StatusOr<Statement*> Sql(std::string_view text);
  absl::StatusOr<Trigger*> TriggerOf(const TriggerKey& key);
  absl::StatusOr<std::optional<Row>> FindRow(const std::string& record);
  absl::Status Delete(const Row& row);
  // Lets the next of the lane come, once `row` is no more its first.
  absl::Status MoveOn(const Row& row);
  absl::Status KeepResult(const std::string& record, const Row& row, EventState state, std::uint32_t attempts,
                          const v1::AttemptHistory& history, const std::optional<v1::StoredResult>& result,
                          UnixMs now);
  absl::StatusOr<std::vector<std::string>> SelectDead(const EventSelection& selection);
  // When an event that is due at `due` is given, so that it comes behind the place.
  static std::int64_t BehindPlace(const Trigger& trigger, std::int64_t due);
  void Touch(Trigger& trigger);
  void Unlease(std::int64_t seq);

  Database& database_;
  const EventTableLimits limits_;
  std::map<std::string, Statement, std::less<>> statements_;
  std::map<TriggerKey, std::unique_ptr<Trigger>> triggers_;
  std::unordered_map<std::int64_t, Trigger*> by_id_;
  std::set<std::int64_t> leased_;
  std::int64_t next_seq_ = 1;

  // Of the transaction that is open.
  std::set<Trigger*> touched_;
  std::vector<Trigger*> made_;
  std::vector<std::int64_t> newly_leased_;
  std::vector<std::int64_t> newly_unleased_;
};

}  // namespace mayfly::gateway
