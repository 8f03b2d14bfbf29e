#include "gateway/store/sqlite/event_tables.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/digest.h"

namespace mayfly::gateway {
namespace {

constexpr std::int64_t kPending = 0;
constexpr std::int64_t kDead = 1;
constexpr std::int64_t kForgetAtOnce = 512;

constexpr char kInsert[] =
    "INSERT INTO events(seq, record, trigger, state, due_ms, accepted_ms, died_ms, attempts, keep_result, "
    "lane, "
    "reason, problem, history, event, body) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

// 16 bytes that stand for (trigger, source, id).
std::string SeenKey(std::int64_t trigger, const v1::Event& event) {
  const std::string text = absl::StrCat(trigger, ":", event.source().size(), ":", event.source(), event.id());
  return base::Sha256(text).substr(0, 16);
}

std::string NoSuchRecord(const std::string& record) {
  return absl::StrCat("there is no event ", record, " here (any more)");
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventTables>> EventTables::Open(Database& database, EventTableLimits limits) {
  std::unique_ptr<EventTables> tables(new EventTables(database, limits));
  if (absl::Status status = tables->Load(); !status.ok()) return status;
  return tables;
}

absl::Status EventTables::Load() {
  absl::StatusOr<Statement> all =
      database_.Prepare("SELECT id, function, trigger, accepted, settled FROM triggers");
  if (!all.ok()) return all.status();
  for (;;) {
    const absl::StatusOr<bool> row = all->Step();
    if (!row.ok()) return row.status();
    if (!*row) break;
    auto trigger = std::make_unique<Trigger>();
    trigger->id = all->Int(0);
    trigger->key = {all->Bytes(1), all->Bytes(2)};
    trigger->counts.trigger = trigger->key;
    trigger->counts.accepted = static_cast<std::uint64_t>(all->Int(3));
    trigger->counts.settled = static_cast<std::uint64_t>(all->Int(4));
    by_id_[trigger->id] = trigger.get();
    triggers_[trigger->key] = std::move(trigger);
  }
  absl::StatusOr<Statement> counts =
      database_.Prepare("SELECT trigger, state, count(*) FROM events GROUP BY trigger, state");
  if (!counts.ok()) return counts.status();
  for (;;) {
    const absl::StatusOr<bool> row = counts->Step();
    if (!row.ok()) return row.status();
    if (!*row) break;
    const auto trigger = by_id_.find(counts->Int(0));
    if (trigger == by_id_.end()) return absl::DataLossError("an event belongs to no trigger");
    TriggerCounts& of = trigger->second->counts;
    (counts->Int(1) == kPending ? of.pending : of.dead_lettered) = static_cast<std::uint64_t>(counts->Int(2));
  }
  const absl::StatusOr<std::int64_t> last = database_.QueryInt("SELECT coalesce(max(seq), 0) FROM events");
  if (!last.ok()) return last.status();
  next_seq_ = *last + 1;
  return absl::OkStatus();
}

absl::StatusOr<Statement*> EventTables::Sql(std::string_view text) {
  auto found = statements_.find(text);
  if (found == statements_.end()) {
    absl::StatusOr<Statement> statement = database_.Prepare(text);
    if (!statement.ok()) return statement.status();
    found = statements_.emplace(std::string(text), *std::move(statement)).first;
  }
  return &found->second;
}

absl::StatusOr<EventTables::Trigger*> EventTables::TriggerOf(const TriggerKey& key) {
  if (const auto found = triggers_.find(key); found != triggers_.end()) return found->second.get();
  absl::StatusOr<Statement*> insert = Sql("INSERT INTO triggers(function, trigger) VALUES(?,?) RETURNING id");
  if (!insert.ok()) return insert.status();
  const absl::StatusOr<bool> row = (*insert)->BindText(1, key.function).BindText(2, key.trigger).Step();
  if (!row.ok()) return row.status();
  auto trigger = std::make_unique<Trigger>();
  trigger->id = (*insert)->Int(0);
  (*insert)->Reset();
  trigger->key = key;
  trigger->counts.trigger = key;
  Trigger* const made = trigger.get();
  by_id_[made->id] = made;
  triggers_[key] = std::move(trigger);
  made_.push_back(made);
  return made;
}

void EventTables::Touch(Trigger& trigger) { touched_.insert(&trigger); }

std::int64_t EventTables::BehindPlace(const Trigger& trigger, std::int64_t due) {
  return trigger.place == kBeginning ? due : std::max(due, trigger.place.first + 1);
}

absl::StatusOr<Accepted> EventTables::Accept(const NewEvent& event, UnixMs now) {
  absl::StatusOr<Trigger*> trigger = TriggerOf(event.trigger);
  if (!trigger.ok()) return trigger.status();
  if (!event.cursor.empty()) {
    if (absl::Status status = SaveCursor(event.trigger, event.cursor); !status.ok()) return status;
  }
  const std::string key = SeenKey((*trigger)->id, event.event);
  absl::StatusOr<Statement*> seen = Sql("SELECT record, expires_ms, number FROM seen WHERE key=?");
  if (!seen.ok()) return seen.status();
  absl::StatusOr<bool> row = (*seen)->BindBlob(1, key).Step();
  if (!row.ok()) return row.status();
  if (*row) {
    const Accepted before{(*seen)->Bytes(0), true};
    const bool valid = (*seen)->Int(1) > now;
    const std::int64_t number = (*seen)->Int(2);
    (*seen)->Reset();
    if (valid) return before;
    absl::StatusOr<Statement*> forget = Sql("DELETE FROM seen WHERE number=?");
    if (!forget.ok()) return forget.status();
    if (absl::Status status = (*forget)->Bind(1, number).Run(); !status.ok()) return status;
  }
  absl::StatusOr<Statement*> remember = Sql("INSERT INTO seen(key, record, expires_ms) VALUES(?,?,?)");
  if (!remember.ok()) return remember.status();
  if (absl::Status status = (*remember)
                                ->BindBlob(1, key)
                                .BindText(2, event.record)
                                .Bind(3, now + limits_.dedup_window_ms)
                                .Run();
      !status.ok()) {
    return status;
  }
  absl::StatusOr<Statement*> insert = Sql(kInsert);
  if (!insert.ok()) return insert.status();
  const std::string bytes = event.event.SerializeAsString();
  const absl::Status status = (*insert)
                                  ->Bind(1, next_seq_++)
                                  .BindText(2, event.record)
                                  .Bind(3, (*trigger)->id)
                                  .Bind(4, kPending)
                                  .Bind(5, BehindPlace(**trigger, now))
                                  .Bind(6, now)
                                  .Bind(7, 0)
                                  .Bind(8, 0)
                                  .Bind(9, event.keep_result ? 1 : 0)
                                  .BindText(10, event.lane)
                                  .BindText(11, "")
                                  .BindBlob(12, "")
                                  .BindBlob(13, "")
                                  .BindBlob(14, bytes)
                                  .BindBlob(15, event.body)
                                  .Run();
  if (!status.ok()) return status;
  (*trigger)->accepted++;
  (*trigger)->pending++;
  Touch(**trigger);
  return Accepted{event.record, false};
}

absl::StatusOr<LeaseBatch> EventTables::Lease(const TriggerKey& key, std::size_t most, std::size_t most_bytes,
                                              UnixMs now) {
  LeaseBatch batch;
  const auto found = triggers_.find(key);
  if (found == triggers_.end()) return batch;
  Trigger& trigger = *found->second;
  absl::StatusOr<Statement*> next =
      Sql("SELECT seq, due_ms, record, lane, accepted_ms, attempts, keep_result, history, event, body FROM "
          "events "
          "WHERE trigger=? AND state=0 AND (due_ms, seq) > (?,?) ORDER BY due_ms, seq");
  if (!next.ok()) return next.status();
  Statement& rows = **next;
  rows.Bind(1, trigger.id).Bind(2, trigger.place.first).Bind(3, trigger.place.second);
  absl::StatusOr<Statement*> ahead =
      Sql("SELECT 1 FROM events WHERE trigger=? AND state=0 AND lane<>'' AND lane=? AND seq<? LIMIT 1");
  if (!ahead.ok()) return ahead.status();
  std::size_t bytes = 0;
  for (;;) {
    const absl::StatusOr<bool> row = rows.Step();
    if (!row.ok()) return row.status();
    if (!*row) break;
    const std::int64_t seq = rows.Int(0);
    const std::int64_t due = rows.Int(1);
    if (due > now || batch.events.size() >= most || bytes >= most_bytes) {
      batch.next_due = std::chrono::milliseconds(std::max<std::int64_t>(0, due - now));
      rows.Reset();
      break;
    }
    trigger.place = {due, seq};
    if (leased_.contains(seq)) continue;
    LeasedEvent event;
    event.lane = rows.Bytes(3);
    if (!event.lane.empty()) {
      const absl::StatusOr<bool> blocked =
          (*ahead)->Bind(1, trigger.id).BindText(2, event.lane).Bind(3, seq).Step();
      if (!blocked.ok()) return blocked.status();
      (*ahead)->Reset();
      if (*blocked) continue;
    }
    event.record = rows.Bytes(2);
    event.accepted_ms = rows.Int(4);
    event.attempts = static_cast<std::uint32_t>(rows.Int(5));
    event.keep_result = rows.Int(6) != 0;
    event.body = rows.Bytes(9);
    if (!event.history.ParseFromString(rows.Bytes(7)) || !event.event.ParseFromString(rows.Bytes(8))) {
      return absl::DataLossError(absl::StrCat("event ", event.record, " cannot be read"));
    }
    bytes += event.body.size();
    leased_.insert(seq);
    newly_leased_.push_back(seq);
    batch.events.push_back(std::move(event));
  }
  return batch;
}

absl::StatusOr<std::optional<EventTables::Row>> EventTables::FindRow(const std::string& record) {
  absl::StatusOr<Statement*> select =
      Sql("SELECT seq, trigger, state, lane, keep_result, accepted_ms, attempts, history FROM events WHERE "
          "record=?");
  if (!select.ok()) return select.status();
  const absl::StatusOr<bool> there = (*select)->BindText(1, record).Step();
  if (!there.ok()) return there.status();
  if (!*there) return std::optional<Row>();
  Row row;
  row.seq = (*select)->Int(0);
  const auto trigger = by_id_.find((*select)->Int(1));
  row.state = (*select)->Int(2);
  row.lane = (*select)->Bytes(3);
  row.keep_result = (*select)->Int(4) != 0;
  row.accepted_ms = (*select)->Int(5);
  row.attempts = (*select)->Int(6);
  row.history = (*select)->Bytes(7);
  (*select)->Reset();
  if (trigger == by_id_.end()) return absl::DataLossError("an event belongs to no trigger");
  row.trigger = trigger->second;
  return std::optional<Row>(std::move(row));
}

absl::Status EventTables::Delete(const Row& row) {
  absl::StatusOr<Statement*> remove = Sql("DELETE FROM events WHERE seq=?");
  if (!remove.ok()) return remove.status();
  return (*remove)->Bind(1, row.seq).Run();
}

absl::Status EventTables::MoveOn(const Row& row) {
  if (row.lane.empty() || row.trigger->place == kBeginning) return absl::OkStatus();
  absl::StatusOr<Statement*> move =
      Sql("UPDATE events SET due_ms=? WHERE seq=(SELECT seq FROM events WHERE trigger=? AND state=0 AND "
          "lane<>'' AND "
          "lane=? AND seq<>? ORDER BY seq LIMIT 1) AND due_ms<=?");
  if (!move.ok()) return move.status();
  return (*move)
      ->Bind(1, row.trigger->place.first + 1)
      .Bind(2, row.trigger->id)
      .BindText(3, row.lane)
      .Bind(4, row.seq)
      .Bind(5, row.trigger->place.first)
      .Run();
}

void EventTables::Unlease(std::int64_t seq) {
  if (leased_.erase(seq) > 0) newly_unleased_.push_back(seq);
}

absl::Status EventTables::KeepResult(const std::string& record, const Row& row, EventState state,
                                     std::uint32_t attempts, const v1::AttemptHistory& history,
                                     const std::optional<v1::StoredResult>& result, UnixMs now) {
  absl::StatusOr<Statement*> keep =
      Sql("INSERT OR REPLACE INTO results(record, trigger, state, accepted_ms, attempts, history, result, "
          "expires_ms) "
          "VALUES(?,?,?,?,?,?,?,?)");
  if (!keep.ok()) return keep.status();
  const std::string past = history.SerializeAsString();
  const std::string bytes = result ? result->SerializeAsString() : std::string();
  return (*keep)
      ->BindText(1, record)
      .Bind(2, row.trigger->id)
      .Bind(3, static_cast<std::int64_t>(state))
      .Bind(4, row.accepted_ms)
      .Bind(5, attempts)
      .BindBlob(6, past)
      .BindBlob(7, bytes)
      .Bind(8, now + limits_.result_ttl_ms)
      .Run();
}

absl::Status EventTables::Finish(const EventOutcome& outcome, UnixMs now, std::set<TriggerKey>* due) {
  absl::StatusOr<std::optional<Row>> found = FindRow(outcome.record);
  if (!found.ok()) return found.status();
  if (!*found || (*found)->state != kPending || !leased_.contains((*found)->seq)) return absl::OkStatus();
  const Row& row = **found;
  Trigger& trigger = *row.trigger;
  using Kind = EventOutcome::Kind;
  absl::Status status;
  switch (outcome.kind) {
    case Kind::kDone:
    case Kind::kCancelled:
      status = Delete(row);
      if (status.ok() && row.keep_result) {
        status = KeepResult(outcome.record, row,
                            outcome.kind == Kind::kDone ? EventState::kDone : EventState::kCancelled,
                            outcome.attempts, outcome.history, outcome.result, now);
      }
      if (status.ok()) status = MoveOn(row);
      trigger.settled++;
      trigger.pending--;
      break;
    case Kind::kRetry:
    case Kind::kRelease: {
      const bool tried = outcome.kind == Kind::kRetry;
      absl::StatusOr<Statement*> update =
          Sql("UPDATE events SET due_ms=?, attempts=?, history=? WHERE seq=?");
      if (!update.ok()) return update.status();
      const std::string history = tried ? outcome.history.SerializeAsString() : row.history;
      status = (*update)
                   ->Bind(1, BehindPlace(trigger, now + outcome.delay.count()))
                   .Bind(2, tried ? outcome.attempts : row.attempts)
                   .BindBlob(3, history)
                   .Bind(4, row.seq)
                   .Run();
      break;
    }
    case Kind::kDeadLetter: {
      absl::StatusOr<Statement*> update =
          Sql("UPDATE events SET state=1, died_ms=?, attempts=?, history=?, reason=?, problem=? WHERE seq=?");
      if (!update.ok()) return update.status();
      const std::string history = outcome.history.SerializeAsString();
      const std::string problem = outcome.problem.SerializeAsString();
      status = (*update)
                   ->Bind(1, now)
                   .Bind(2, outcome.attempts)
                   .BindBlob(3, history)
                   .BindText(4, outcome.problem.reason())
                   .BindBlob(5, problem)
                   .Bind(6, row.seq)
                   .Run();
      if (status.ok()) status = MoveOn(row);
      trigger.dead++;
      trigger.pending--;
      break;
    }
  }
  if (!status.ok()) return status;
  Touch(trigger);
  Unlease(row.seq);
  for (const NewEvent& next : outcome.next) {
    if (const absl::StatusOr<Accepted> accepted = Accept(next, now); !accepted.ok()) return accepted.status();
    due->insert(next.trigger);
  }
  return absl::OkStatus();
}

absl::Status EventTables::Park(const DeadLetter& letter, UnixMs now) {
  const absl::StatusOr<std::optional<Row>> before = FindRow(letter.record);
  if (!before.ok()) return before.status();
  if (*before) return absl::OkStatus();
  absl::StatusOr<Trigger*> trigger = TriggerOf(letter.trigger);
  if (!trigger.ok()) return trigger.status();
  absl::StatusOr<Statement*> insert = Sql(kInsert);
  if (!insert.ok()) return insert.status();
  const std::string bytes = letter.event.SerializeAsString();
  const std::string history = letter.history.SerializeAsString();
  const std::string problem = letter.problem.SerializeAsString();
  const absl::Status status = (*insert)
                                  ->Bind(1, next_seq_++)
                                  .BindText(2, letter.record)
                                  .Bind(3, (*trigger)->id)
                                  .Bind(4, kDead)
                                  .Bind(5, now)
                                  .Bind(6, letter.accepted_ms > 0 ? letter.accepted_ms : now)
                                  .Bind(7, now)
                                  .Bind(8, letter.attempts)
                                  .Bind(9, 0)
                                  .BindText(10, letter.lane)
                                  .BindText(11, letter.problem.reason())
                                  .BindBlob(12, problem)
                                  .BindBlob(13, history)
                                  .BindBlob(14, bytes)
                                  .BindBlob(15, letter.body)
                                  .Run();
  if (!status.ok()) return status;
  (*trigger)->accepted++;
  (*trigger)->dead++;
  Touch(**trigger);
  return absl::OkStatus();
}

absl::Status EventTables::Cancel(const std::string& record, UnixMs now) {
  const absl::StatusOr<std::optional<Row>> row = FindRow(record);
  if (!row.ok()) return row.status();
  if (!*row || (*row)->state != kPending) return absl::NotFoundError(NoSuchRecord(record));
  if (leased_.contains((*row)->seq)) {
    return absl::FailedPreconditionError(absl::StrCat("event ", record, " is being handled"));
  }
  absl::Status status = Delete(**row);
  if (status.ok() && (*row)->keep_result) {
    v1::AttemptHistory history;
    history.ParseFromString((*row)->history);
    status = KeepResult(record, **row, EventState::kCancelled, static_cast<std::uint32_t>((*row)->attempts),
                        history, std::nullopt, now);
  }
  if (status.ok()) status = MoveOn(**row);
  if (!status.ok()) return status;
  (*row)->trigger->settled++;
  (*row)->trigger->pending--;
  Touch(*(*row)->trigger);
  return absl::OkStatus();
}

absl::StatusOr<bool> EventTables::Forget(UnixMs now) {
  bool more = false;
  absl::StatusOr<Statement*> seen =
      Sql("DELETE FROM seen WHERE number IN (SELECT number FROM seen ORDER BY number LIMIT ?) AND "
          "(expires_ms<=? OR "
          "number <= (SELECT max(number) FROM seen) - ?)");
  if (!seen.ok()) return seen.status();
  if (absl::Status status = (*seen)->Bind(1, kForgetAtOnce).Bind(2, now).Bind(3, limits_.most_seen).Run();
      !status.ok()) {
    return status;
  }
  more = database_.changes() == kForgetAtOnce;
  absl::StatusOr<Statement*> results =
      Sql("DELETE FROM results WHERE number IN (SELECT number FROM results ORDER BY number LIMIT ?) AND "
          "expires_ms<=?");
  if (!results.ok()) return results.status();
  if (absl::Status status = (*results)->Bind(1, kForgetAtOnce).Bind(2, now).Run(); !status.ok())
    return status;
  return more || database_.changes() == kForgetAtOnce;
}

std::vector<TriggerCounts> EventTables::Counts() const {
  std::vector<TriggerCounts> counts;
  counts.reserve(triggers_.size());
  for (const auto& [key, trigger] : triggers_) counts.push_back(trigger->counts);
  return counts;
}

std::vector<TriggerKey> EventTables::WithPending() const {
  std::vector<TriggerKey> keys;
  for (const auto& [key, trigger] : triggers_) {
    if (trigger->counts.pending > 0) keys.push_back(key);
  }
  return keys;
}

absl::Status EventTables::Committing() {
  for (const Trigger* trigger : touched_) {
    if (trigger->accepted == 0 && trigger->settled == 0) continue;
    absl::StatusOr<Statement*> update =
        Sql("UPDATE triggers SET accepted=accepted+?, settled=settled+? WHERE id=?");
    if (!update.ok()) return update.status();
    if (absl::Status status =
            (*update)->Bind(1, trigger->accepted).Bind(2, trigger->settled).Bind(3, trigger->id).Run();
        !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

void EventTables::Committed() {
  const auto add = [](std::uint64_t& to, std::int64_t& change) {
    to += static_cast<std::uint64_t>(change);
    change = 0;
  };
  for (Trigger* trigger : touched_) {
    add(trigger->counts.accepted, trigger->accepted);
    add(trigger->counts.settled, trigger->settled);
    add(trigger->counts.dead_lettered, trigger->dead);
    add(trigger->counts.pending, trigger->pending);
  }
  touched_.clear();
  made_.clear();
  newly_leased_.clear();
  newly_unleased_.clear();
}

void EventTables::RolledBack() {
  for (auto& [key, trigger] : triggers_) {
    trigger->accepted = trigger->settled = trigger->dead = trigger->pending = 0;
    trigger->place = kBeginning;
  }
  for (const std::int64_t seq : newly_unleased_) leased_.insert(seq);
  for (const std::int64_t seq : newly_leased_) leased_.erase(seq);
  for (Trigger* trigger : made_) {
    by_id_.erase(trigger->id);
    triggers_.erase(TriggerKey(trigger->key));
  }
  touched_.clear();
  made_.clear();
  newly_leased_.clear();
  newly_unleased_.clear();
}

}  // namespace mayfly::gateway
