// A change of a row as an event: what the handler gets is JSON, with the row before and after.
//
//   {"op": "update", "schema": "public", "table": "orders", "key": {"id": 7}, "before": null,
//    "after": {"id": 7, "total": 12.50, "note": "x"}, "unchanged": ["picture"],
//    "lsn": "0/1949D20", "commitLsn": "0/1949D80", "xid": 734, "commitTime": "2026-05-04T12:00:00.123456Z"}
//
// Numbers, booleans and JSON are what they are; every other value is a text, as the server writes it. The event's id is
// made of places in the log alone, so that a change has the same id however often it comes.
//
// Functions here are pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/sources/postgres/pg_output.h"
#include "gateway/sources/source.h"

namespace mayfly::gateway {

// A table as events are made of it.
struct PgTable {
  PgRelation relation;
  std::vector<bool> shown;       // by column; what is not shown is in no event but as part of the key
  std::vector<std::size_t> key;  // the columns that say which row it is; empty: nothing does
  bool wanted = true;            // of the trigger
};

struct PgPlace {
  Lsn commit = 0;
  Lsn change = 0;
  std::uint32_t number = 0;  // among those of the same place

  auto operator<=>(const PgPlace&) const = default;
};

// `database`: for the event's source. The token is not set.
SourceEvent ChangeEvent(const PgTable& table, const PgChange& change, const PgBegin& transaction,
                        const PgPlace& place, const std::string& database);
SourceEvent TruncateEvent(const PgTable& table, const PgBegin& transaction, const PgPlace& place,
                          const std::string& database);
// A row that was there at `place`.commit, which is no change.
SourceEvent SnapshotEvent(const PgTable& table, const PgRow& row, std::int64_t unix_us, const PgPlace& place,
                          const std::string& database);

// Appends `text` as JSON, quotes and all; bytes that are not UTF-8 become U+FFFD.
void AppendJsonText(std::string_view text, std::string* json);

}  // namespace mayfly::gateway
