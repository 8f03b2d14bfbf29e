// What a trigger needs at the server: tables that can be followed, a publication of them, a replication slot; looked at, and
// made where they are missing and may be made.
//
// Statements on connections that are given; errors have the server's own words.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/sources/postgres/pg_connection.h"
#include "gateway/sources/postgres/pg_event.h"

namespace mayfly::gateway {

struct PgTableSettings {
  std::string schema;  // "": where the user's search path finds it
  std::string name;
  std::vector<std::string> columns;  // empty: all
};

struct PostgresSettings {
  PgConnectionSettings connection;
  std::vector<PgTableSettings> tables;
  bool inserts = true;
  bool updates = true;
  bool deletes = true;
  bool truncates = true;
  std::string publication;
  std::string slot;
  bool own_publication = false;  // its name is made of the trigger's: nobody else has it
  bool own_slot = false;
  bool snapshot = false;
  bool keep_slot = false;                  // when the trigger is deleted
  std::chrono::milliseconds heartbeat{0};  // 0: none
  std::uint64_t most_lag_bytes = 0;        // 0: no limit
  std::uint64_t epoch = 0;
};

// Which database it is, and which of its histories.
struct PgSystem {
  std::string identifier;
  std::string timeline;
  auto operator<=>(const PgSystem&) const = default;
};

struct PgSlot {
  Lsn confirmed = 0;
  int active_pid = 0;
};

struct PgNewSlot {
  std::string name;
  Lsn point = 0;
  std::string snapshot;
};

// On a connection for replication.
absl::StatusOr<PgSystem> Identify(PgConnection& replication);

// Makes the publication, or brings one that is the trigger's own up to date.
absl::Status PreparePublication(PgConnection& statements, const PostgresSettings& settings);

// Nothing if there is none of that name; an error if it is of no use to the trigger.
absl::StatusOr<std::optional<PgSlot>> FindSlot(PgConnection& statements, const PostgresSettings& settings);
absl::Status MakeSlot(PgConnection& replication, const PostgresSettings& settings);
// One that goes with its connection, and a snapshot of the moment at which it begins.
absl::StatusOr<PgNewSlot> MakeSnapshotSlot(PgConnection& replication, const PostgresSettings& settings);
// Makes the trigger's slot of it.
absl::Status KeepSnapshotSlot(PgConnection& replication, const PgNewSlot& made,
                              const PostgresSettings& settings);
std::string StreamStatement(const PostgresSettings& settings, Lsn from);

// Ends the connection that holds the slot if it is this source's own of before, or of an owner of an older epoch. True if so, or if
// nobody holds it.
absl::StatusOr<bool> FreeSlot(PgConnection& statements, const PostgresSettings& settings);

// How many bytes of the log the server keeps for the slot. An error if it no longer does.
absl::StatusOr<std::uint64_t> SlotLag(PgConnection& statements, const PostgresSettings& settings);

// What is the trigger's own, and not to be kept.
absl::Status DropAll(PgConnection& statements, const PostgresSettings& settings,
                     std::chrono::steady_clock::time_point deadline);

// The columns of a table's primary key, in its order; empty if it has none.
absl::StatusOr<std::vector<std::string>> PrimaryKey(PgConnection& statements, std::uint32_t oid);

// The tables of the publication, and what is to be shown of each; its columns are not filled in.
absl::StatusOr<std::vector<PgRelation>> PublishedTables(PgConnection& statements,
                                                        const PostgresSettings& settings);

// Sets all of `table` but its relation. `key`: the columns of the primary key.
void ApplySettings(const PostgresSettings& settings, const std::vector<std::string>& key, PgTable* table);

}  // namespace mayfly::gateway
