// What EventTables answer to people: single records, lists, redrive and purge.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gateway/store/sqlite/event_tables.h"

namespace mayfly::gateway {
namespace {

constexpr std::size_t kMostListed = 1'000;

std::int64_t Most(const EventSelection& selection) {
  return static_cast<std::int64_t>(std::min(selection.most, kMostListed));
}

// Text parameters are the selection's fields, "" for all.
constexpr char kWhere[] =
    " FROM events JOIN triggers ON triggers.id = events.trigger WHERE state=?1 AND (?2='' OR function=?2) "
    "AND (?3='' OR "
    "triggers.trigger=?3) AND (?4='' OR reason=?4) AND seq > coalesce((SELECT seq FROM events WHERE "
    "record=?5), 0) AND "
    "(?6='' OR record=?6) ORDER BY seq LIMIT ?7";

void BindSelection(Statement& statement, std::int64_t state, const EventSelection& selection,
                   const std::string& record, std::int64_t most) {
  statement.Bind(1, state)
      .BindText(2, selection.function)
      .BindText(3, selection.trigger)
      .BindText(4, selection.reason)
      .BindText(5, selection.after)
      .BindText(6, record)
      .Bind(7, most);
}

constexpr char kColumns[] =
    "SELECT record, function, triggers.trigger, lane, accepted_ms, died_ms, due_ms, attempts, history, "
    "problem, event, "
    "body, seq";

}  // namespace

absl::StatusOr<std::vector<DeadLetter>> EventTables::ListDead(const EventSelection& selection) {
  absl::StatusOr<Statement*> select = Sql(absl::StrCat(kColumns, kWhere));
  if (!select.ok()) return select.status();
  std::vector<DeadLetter> letters;
  std::vector<std::string> records = selection.records;
  if (records.empty()) records.emplace_back();
  for (const std::string& record : records) {
    Statement& rows = **select;
    BindSelection(rows, 1, selection, record, Most(selection) - static_cast<std::int64_t>(letters.size()));
    for (;;) {
      const absl::StatusOr<bool> row = rows.Step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      DeadLetter& letter = letters.emplace_back();
      letter.record = rows.Bytes(0);
      letter.trigger = {rows.Bytes(1), rows.Bytes(2)};
      letter.lane = rows.Bytes(3);
      letter.accepted_ms = rows.Int(4);
      letter.died_ms = rows.Int(5);
      letter.attempts = static_cast<std::uint32_t>(rows.Int(7));
      letter.history.ParseFromString(rows.Bytes(8));
      letter.problem.ParseFromString(rows.Bytes(9));
      letter.event.ParseFromString(rows.Bytes(10));
      if (selection.with_body) letter.body = rows.Bytes(11);
    }
  }
  return letters;
}

absl::StatusOr<std::vector<EventView>> EventTables::ListPending(const EventSelection& selection) {
  absl::StatusOr<Statement*> select = Sql(absl::StrCat(kColumns, kWhere));
  if (!select.ok()) return select.status();
  std::vector<EventView> views;
  std::vector<std::string> records = selection.records;
  if (records.empty()) records.emplace_back();
  for (const std::string& record : records) {
    Statement& rows = **select;
    BindSelection(rows, 0, selection, record, Most(selection) - static_cast<std::int64_t>(views.size()));
    for (;;) {
      const absl::StatusOr<bool> row = rows.Step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      EventView& view = views.emplace_back();
      view.record = rows.Bytes(0);
      view.trigger = {rows.Bytes(1), rows.Bytes(2)};
      view.state = leased_.contains(rows.Int(12)) ? EventState::kRunning : EventState::kWaiting;
      view.accepted_ms = rows.Int(4);
      view.due_ms = rows.Int(6);
      view.attempts = static_cast<std::uint32_t>(rows.Int(7));
      view.history.ParseFromString(rows.Bytes(8));
      view.event.ParseFromString(rows.Bytes(10));
      if (selection.with_body) view.body = rows.Bytes(11);
    }
  }
  return views;
}

absl::StatusOr<EventView> EventTables::Find(const std::string& record, UnixMs now) {
  EventSelection one;
  one.records = {record};
  one.most = 1;
  one.with_body = true;
  absl::StatusOr<std::vector<EventView>> pending = ListPending(one);
  if (!pending.ok()) return pending.status();
  if (!pending->empty()) return std::move(pending->front());
  absl::StatusOr<Statement*> select =
      Sql("SELECT function, triggers.trigger, state, accepted_ms, attempts, history, result, expires_ms FROM "
          "results JOIN "
          "triggers ON triggers.id = results.trigger WHERE record=?");
  if (!select.ok()) return select.status();
  const absl::StatusOr<bool> row = (*select)->BindText(1, record).Step();
  if (!row.ok()) return row.status();
  EventView view;
  view.record = record;
  if (*row) {
    view.trigger = {(*select)->Bytes(0), (*select)->Bytes(1)};
    view.state = static_cast<EventState>((*select)->Int(2));
    view.accepted_ms = (*select)->Int(3);
    view.attempts = static_cast<std::uint32_t>((*select)->Int(4));
    view.history.ParseFromString((*select)->Bytes(5));
    const std::string result = (*select)->Bytes(6);
    if (!result.empty()) view.result.emplace().ParseFromString(result);
    const bool valid = (*select)->Int(7) > now;
    (*select)->Reset();
    if (valid) return view;
  }
  absl::StatusOr<std::vector<DeadLetter>> dead = ListDead(one);
  if (!dead.ok()) return dead.status();
  if (dead->empty())
    return absl::NotFoundError(absl::StrCat("there is no event ", record, " here (any more)"));
  DeadLetter& letter = dead->front();
  view.trigger = std::move(letter.trigger);
  view.state = EventState::kDeadLettered;
  view.event = std::move(letter.event);
  view.body = std::move(letter.body);
  view.accepted_ms = letter.accepted_ms;
  view.attempts = letter.attempts;
  view.history = std::move(letter.history);
  return view;
}

absl::StatusOr<std::vector<std::string>> EventTables::SelectDead(const EventSelection& selection) {
  const absl::StatusOr<std::vector<DeadLetter>> letters = ListDead(selection);
  if (!letters.ok()) return letters.status();
  std::vector<std::string> records;
  records.reserve(letters->size());
  for (const DeadLetter& letter : *letters) records.push_back(letter.record);
  return records;
}

absl::StatusOr<std::size_t> EventTables::Redrive(const EventSelection& selection, UnixMs now,
                                                 std::set<TriggerKey>* triggers) {
  const absl::StatusOr<std::vector<std::string>> records = SelectDead(selection);
  if (!records.ok()) return records.status();
  absl::StatusOr<Statement*> update =
      Sql("UPDATE events SET seq=?, state=0, due_ms=?, accepted_ms=?, died_ms=0, attempts=0, history=x'', "
          "reason='', "
          "problem=x'' WHERE record=?");
  if (!update.ok()) return update.status();
  for (const std::string& record : *records) {
    const absl::StatusOr<std::optional<Row>> row = FindRow(record);
    if (!row.ok()) return row.status();
    if (!*row) continue;
    Trigger& trigger = *(*row)->trigger;
    if (absl::Status status = (*update)
                                  ->Bind(1, next_seq_++)
                                  .Bind(2, BehindPlace(trigger, now))
                                  .Bind(3, now)
                                  .BindText(4, record)
                                  .Run();
        !status.ok()) {
      return status;
    }
    trigger.dead--;
    trigger.pending++;
    Touch(trigger);
    triggers->insert(trigger.key);
  }
  return records->size();
}

absl::StatusOr<std::size_t> EventTables::Purge(const EventSelection& selection) {
  const absl::StatusOr<std::vector<std::string>> records = SelectDead(selection);
  if (!records.ok()) return records.status();
  for (const std::string& record : *records) {
    const absl::StatusOr<std::optional<Row>> row = FindRow(record);
    if (!row.ok()) return row.status();
    if (!*row) continue;
    if (absl::Status status = Delete(**row); !status.ok()) return status;
    (*row)->trigger->dead--;
    (*row)->trigger->settled++;
    Touch(*(*row)->trigger);
  }
  return records->size();
}

absl::StatusOr<std::string> EventTables::ReadCursor(const TriggerKey& key) {
  absl::StatusOr<Statement*> select = Sql("SELECT cursor FROM triggers WHERE function=? AND trigger=?");
  if (!select.ok()) return select.status();
  const absl::StatusOr<bool> row = (*select)->BindText(1, key.function).BindText(2, key.trigger).Step();
  if (!row.ok()) return row.status();
  if (!*row) return std::string();
  std::string cursor = (*select)->Bytes(0);
  (*select)->Reset();
  return cursor;
}

absl::Status EventTables::SaveCursor(const TriggerKey& key, const std::string& cursor) {
  const absl::StatusOr<Trigger*> trigger = TriggerOf(key);
  if (!trigger.ok()) return trigger.status();
  absl::StatusOr<Statement*> update = Sql("UPDATE triggers SET cursor=? WHERE id=?");
  if (!update.ok()) return update.status();
  return (*update)->BindBlob(1, cursor).Bind(2, (*trigger)->id).Run();
}

}  // namespace mayfly::gateway
