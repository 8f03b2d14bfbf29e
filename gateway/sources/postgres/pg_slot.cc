#include "gateway/sources/postgres/pg_slot.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <thread>
#include <utility>

#include "base/log.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

constexpr int kOldestServer = 130'000;
// A slot begins once every transaction that ran when it was asked for has ended.
constexpr std::chrono::milliseconds kSlotBegins = 60s;

struct FoundTable {
  std::string oid;
  std::string quoted;
};

std::string Quoted(const PgTableSettings& table) {
  return table.schema.empty() ? PgQuote(table.name)
                              : fmt::format("{}.{}", PgQuote(table.schema), PgQuote(table.name));
}

std::string Literal(std::string_view text) {
  std::string literal = "'";
  for (const char c : text) {
    if (c == '\'') literal += '\'';
    literal += c;
  }
  return literal + "'";
}

std::string Operations(const PostgresSettings& settings) {
  std::vector<std::string_view> operations;
  if (settings.inserts) operations.emplace_back("insert");
  if (settings.updates) operations.emplace_back("update");
  if (settings.deletes) operations.emplace_back("delete");
  if (settings.truncates) operations.emplace_back("truncate");
  return fmt::format("{}", fmt::join(operations, ", "));
}

absl::StatusOr<FoundTable> FindTable(PgConnection& statements, const PostgresSettings& settings,
                                     const PgTableSettings& table) {
  const auto found = statements.Run(
      "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, "
      "EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) "
      "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::regclass",
      {Quoted(table)});
  if (!found.ok()) return found.status();
  const std::string name = fmt::format("{}.{}", found->Text(0, 1), found->Text(0, 2));
  const std::string kind = found->Text(0, 3);
  if (kind != "r" && kind != "p")
    return absl::FailedPreconditionError(name + " is not a table: only tables have changes to follow");
  const std::string identity = found->Text(0, 4);
  const bool nameless = identity == "n" || (identity == "d" && !found->True(0, 5));
  if (nameless && (settings.updates || settings.deletes)) {
    // With a publication the server would refuse every UPDATE and DELETE of it, to whoever has nothing to do with us.
    return absl::FailedPreconditionError(fmt::format(
        "table {} has no primary key and no replica identity, so that no publication may have its updates "
        "and "
        "deletes: ALTER TABLE {} REPLICA IDENTITY FULL, give it a key, or follow operations: [Insert] alone",
        name, name));
  }
  if (!table.columns.empty()) {
    const auto columns = statements.Run(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped",
        {found->Text(0, 0)});
    if (!columns.ok()) return columns.status();
    for (const std::string& column : table.columns) {
      if (std::none_of(columns->rows.begin(), columns->rows.end(),
                       [&](const auto& row) { return row[0].text == column; })) {
        return absl::NotFoundError(fmt::format("column \"{}\" of table {} does not exist", column, name));
      }
    }
  }
  return FoundTable{found->Text(0, 0),
                    fmt::format("{}.{}", PgQuote(found->Text(0, 1)), PgQuote(found->Text(0, 2)))};
}

absl::Status CheckPublication(PgConnection& statements, const PostgresSettings& settings,
                              const std::vector<FoundTable>& tables) {
  const auto published = statements.Run(
      "SELECT format('%I.%I', schemaname, tablename)::regclass::oid FROM pg_publication_tables WHERE pubname "
      "= "
      "$1",
      {settings.publication});
  if (!published.ok()) return published.status();
  std::set<std::string> oids;
  for (const auto& row : published->rows) oids.insert(row[0].text);
  std::vector<std::string> missing;
  for (const FoundTable& table : tables) {
    if (!oids.contains(table.oid)) missing.push_back(table.quoted);
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("publication {} is not of table {}: ALTER PUBLICATION {} ADD TABLE {}",
                  settings.publication, missing[0], PgQuote(settings.publication), fmt::join(missing, ", ")));
}

absl::Status UpdatePublication(PgConnection& statements, const PostgresSettings& settings,
                               const std::vector<FoundTable>& tables, const PgRows& there) {
  const auto published = statements.Run(
      "SELECT r.prrelid FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid "
      "WHERE p.pubname = $1",
      {settings.publication});
  if (!published.ok()) return published.status();
  std::set<std::string> is;
  std::set<std::string> wanted;
  std::vector<std::string> names;
  for (const auto& row : published->rows) is.insert(row[0].text);
  for (const FoundTable& table : tables) {
    wanted.insert(table.oid);
    names.push_back(table.quoted);
  }
  const std::string name = PgQuote(settings.publication);
  if (is != wanted) {
    const auto set =
        statements.Run(fmt::format("ALTER PUBLICATION {} SET TABLE {}", name, fmt::join(names, ", ")));
    if (!set.ok()) return set.status();
  }
  const bool same = there.True(0, 0) == settings.inserts && there.True(0, 1) == settings.updates &&
                    there.True(0, 2) == settings.deletes && there.True(0, 3) == settings.truncates;
  if (same) return absl::OkStatus();
  return statements.Run(fmt::format("ALTER PUBLICATION {} SET (publish = '{}')", name, Operations(settings)))
      .status();
}

Lsn ToLsn(const std::string& text) { return ReadLsn(text).value_or(0); }

}  // namespace

absl::StatusOr<PgSystem> Identify(PgConnection& replication) {
  if (replication.server_version() < kOldestServer) {
    return absl::FailedPreconditionError(fmt::format("the server is PostgreSQL {}, and 13 or newer is needed",
                                                     replication.server_version() / 10'000));
  }
  const auto system = replication.Run("IDENTIFY_SYSTEM");
  if (!system.ok()) return system.status();
  return PgSystem{system->Text(0, 0), system->Text(0, 1)};
}

absl::Status PreparePublication(PgConnection& statements, const PostgresSettings& settings) {
  std::vector<FoundTable> tables;
  for (const PgTableSettings& table : settings.tables) {
    absl::StatusOr<FoundTable> found = FindTable(statements, settings, table);
    if (!found.ok()) return found.status();
    tables.push_back(*std::move(found));
  }
  const auto there = statements.Run(
      "SELECT pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_publication WHERE pubname = $1",
      {settings.publication});
  if (!there.ok()) return there.status();
  if (!there->rows.empty()) {
    return settings.own_publication ? UpdatePublication(statements, settings, tables, *there)
                                    : CheckPublication(statements, settings, tables);
  }
  if (tables.empty()) {
    return absl::NotFoundError(fmt::format(
        "publication \"{}\" does not exist: make it, or list the tables, of which it is made then",
        settings.publication));
  }
  std::vector<std::string> names;
  for (const FoundTable& table : tables) names.push_back(table.quoted);
  const auto made = statements.Run(fmt::format(
      "CREATE PUBLICATION {} FOR TABLE {} WITH (publish = '{}', publish_via_partition_root = true)",
      PgQuote(settings.publication), fmt::join(names, ", "), Operations(settings)));
  return made.status();
}

absl::StatusOr<std::optional<PgSlot>> FindSlot(PgConnection& statements, const PostgresSettings& settings) {
  const auto found = statements.Run(
      "SELECT plugin, database = current_database(), coalesce(active_pid, 0), coalesce(wal_status, ''), "
      "confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1",
      {settings.slot});
  if (!found.ok()) return found.status();
  if (found->rows.empty()) return std::nullopt;
  if (found->Text(0, 0) != "pgoutput" || !found->True(0, 1)) {
    return absl::FailedPreconditionError(
        fmt::format("replication slot \"{}\" is not one of pgoutput in database {}: name another in slot",
                    settings.slot, settings.connection.database));
  }
  if (found->Text(0, 3) == "lost") {
    return absl::FailedPreconditionError(
        fmt::format("replication slot \"{0}\" has lost what it was to keep, by max_slot_wal_keep_size of the "
                    "server: SELECT "
                    "pg_drop_replication_slot('{0}'), and it is made anew; changes in between are lost",
                    settings.slot));
  }
  PgSlot slot;
  slot.confirmed = ToLsn(found->Text(0, 4));
  const std::string pid = found->Text(0, 2);
  std::from_chars(pid.data(), pid.data() + pid.size(), slot.active_pid);
  return slot;
}

absl::Status MakeSlot(PgConnection& replication, const PostgresSettings& settings) {
  const auto made = replication.Run(
      fmt::format("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput NOEXPORT_SNAPSHOT", PgQuote(settings.slot)),
      {}, kSlotBegins);
  if (absl::IsDeadlineExceeded(made.status())) {
    return absl::UnavailableError(fmt::format(
        "replication slot \"{}\" is not ready: the server waits for a transaction that began before "
        "to end (pg_stat_activity.xact_start says which)",
        settings.slot));
  }
  return made.status();
}

absl::StatusOr<PgNewSlot> MakeSnapshotSlot(PgConnection& replication, const PostgresSettings& settings) {
  constexpr std::size_t kLongest = 63;
  PgNewSlot slot;
  slot.name = settings.slot.substr(0, kLongest - 9) + "_snapshot";
  const auto made =
      replication.Run(fmt::format("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT",
                                  PgQuote(slot.name)),
                      {}, kSlotBegins);
  if (!made.ok()) return made.status();
  slot.point = ToLsn(made->Text(0, 1));
  slot.snapshot = made->Text(0, 2);
  return slot;
}

absl::Status KeepSnapshotSlot(PgConnection& replication, const PgNewSlot& made,
                              const PostgresSettings& settings) {
  const auto copied = replication.Run(fmt::format("SELECT pg_copy_logical_replication_slot({}, {}, false)",
                                                  Literal(made.name), Literal(settings.slot)));
  if (!copied.ok()) return copied.status();
  return replication.Run(fmt::format("DROP_REPLICATION_SLOT {}", PgQuote(made.name))).status();
}

std::string StreamStatement(const PostgresSettings& settings, Lsn from) {
  return fmt::format("START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {})",
                     PgQuote(settings.slot), LsnText(from), Literal(PgQuote(settings.publication)));
}

absl::StatusOr<bool> FreeSlot(PgConnection& statements, const PostgresSettings& settings) {
  const auto reader = statements.Run(
      "SELECT a.pid, a.application_name FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = "
      "s.active_pid WHERE s.slot_name = $1",
      {settings.slot});
  if (!reader.ok()) return reader.status();
  if (reader->rows.empty()) return true;
  const std::string name = reader->Text(0, 1);
  bool former = !name.empty() && name == settings.connection.application;
  constexpr std::string_view kPrefix = "mayfly-";
  if (!former && settings.epoch > 0 && name.starts_with(kPrefix)) {
    std::uint64_t epoch = 0;
    const char* const end = name.data() + name.size();
    const auto [stopped, error] = std::from_chars(name.data() + kPrefix.size(), end, epoch);
    former = error == std::errc() && stopped != end && *stopped == '-' && epoch < settings.epoch;
  }
  if (!former) return false;
  base::log::Info("ends a former reader of a replication slot", {{"slot", settings.slot}, {"reader", name}});
  const auto ended = statements.Run("SELECT pg_terminate_backend($1::int)", {reader->Text(0, 0)});
  if (!ended.ok()) return ended.status();
  return true;
}

absl::StatusOr<std::uint64_t> SlotLag(PgConnection& statements, const PostgresSettings& settings) {
  const auto found = statements.Run(
      "SELECT coalesce(wal_status, ''), coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN "
      "pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint FROM "
      "pg_replication_slots WHERE slot_name = $1",
      {settings.slot});
  if (!found.ok()) return found.status();
  if (found->rows.empty())
    return absl::UnavailableError(fmt::format("replication slot \"{}\" does not exist", settings.slot));
  const std::string text = found->Text(0, 1);
  std::int64_t bytes = 0;
  std::from_chars(text.data(), text.data() + text.size(), bytes);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0));
}

absl::Status DropAll(PgConnection& statements, const PostgresSettings& settings,
                     std::chrono::steady_clock::time_point deadline) {
  if (settings.own_slot && !settings.keep_slot) {
    for (;;) {
      // Its reader has just gone, and the server may not know yet.
      const auto dropped = statements.Run(
          "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
          {settings.slot});
      if (dropped.ok()) break;
      if (SqlState(dropped.status()) != "55006" || std::chrono::steady_clock::now() + 50ms > deadline)
        return dropped.status();
      // No server tells that a slot has become free.
      std::this_thread::sleep_for(20ms);
    }
  }
  if (!settings.own_publication || settings.keep_slot) return absl::OkStatus();
  return statements.Run(fmt::format("DROP PUBLICATION IF EXISTS {}", PgQuote(settings.publication))).status();
}

absl::StatusOr<std::vector<std::string>> PrimaryKey(PgConnection& statements, std::uint32_t oid) {
  const auto found = statements.Run(
      "SELECT a.attname FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, "
      "place) "
      "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE i.indisprimary AND "
      "i.indrelid = $1::oid ORDER BY k.place",
      {std::to_string(oid)});
  if (!found.ok()) return found.status();
  std::vector<std::string> columns;
  for (const auto& row : found->rows) columns.push_back(row[0].text);
  return columns;
}

absl::StatusOr<std::vector<PgRelation>> PublishedTables(PgConnection& statements,
                                                        const PostgresSettings& settings) {
  const auto found = statements.Run(
      "SELECT format('%I.%I', schemaname, tablename)::regclass::oid, schemaname, tablename FROM "
      "pg_publication_tables WHERE pubname = $1 ORDER BY 2, 3",
      {settings.publication});
  if (!found.ok()) return found.status();
  std::vector<PgRelation> tables;
  for (std::size_t row = 0; row < found->rows.size(); ++row) {
    PgTable table;
    const std::string oid = found->Text(row, 0);
    std::from_chars(oid.data(), oid.data() + oid.size(), table.relation.oid);
    table.relation.schema = found->Text(row, 1);
    table.relation.name = found->Text(row, 2);
    ApplySettings(settings, {}, &table);
    if (table.wanted) tables.push_back(std::move(table.relation));
  }
  return tables;
}

void ApplySettings(const PostgresSettings& settings, const std::vector<std::string>& key, PgTable* table) {
  const PgRelation& relation = table->relation;
  const auto wanted =
      std::find_if(settings.tables.begin(), settings.tables.end(), [&](const PgTableSettings& each) {
        return each.name == relation.name && (each.schema.empty() || each.schema == relation.schema);
      });
  table->wanted = settings.tables.empty() || wanted != settings.tables.end();
  table->shown.clear();
  table->key.clear();
  for (const PgColumn& column : relation.columns) {
    table->shown.push_back(wanted == settings.tables.end() || wanted->columns.empty() ||
                           std::find(wanted->columns.begin(), wanted->columns.end(), column.name) !=
                               wanted->columns.end());
  }
  for (const std::string& name : key) {
    for (std::size_t n = 0; n < relation.columns.size(); ++n) {
      if (relation.columns[n].name == name) table->key.push_back(n);
    }
  }
  if (!key.empty() || relation.identity == 'f') return;
  for (std::size_t n = 0; n < relation.columns.size(); ++n) {
    if (relation.columns[n].key) table->key.push_back(n);
  }
}

}  // namespace mayfly::gateway
