#include "gateway/sources/postgres/pg_advice.h"

#include <array>

namespace mayfly::gateway {
namespace {

struct Row {
  std::string_view state;  // "": any
  std::string_view words;  // part of what the server says
  std::string_view advice;
};

// The first that fits. Words are those of English messages; servers of other languages have no advice but by their state.
constexpr std::array<Row, 17> kRows = {{
    {"", "wal_level", "ALTER SYSTEM SET wal_level = logical, then restart the server"},
    {"", "password authentication failed", "see username and password of the Secret in credentials"},
    {"", "no password supplied", "name a Secret with username and password in credentials"},
    {"", "no pg_hba.conf entry", "let the gateways' addresses in, in pg_hba.conf of the server"},
    {"", "replication role", "ALTER ROLE … REPLICATION for the user of the trigger"},
    {"", "permission denied to start WAL sender", "ALTER ROLE … REPLICATION for the user of the trigger"},
    {"", "permission denied to use replication slots",
     "ALTER ROLE … REPLICATION for the user of the trigger"},
    {"", "all replication slots are in use", "raise max_replication_slots, or drop a slot that nobody reads"},
    {"", "number of requested standby connections", "raise max_wal_senders of the server"},
    {"", "is active for PID", "another gateway or program reads this slot; one may at a time"},
    {"", "has been invalidated", "drop the slot, and it is made anew; changes in between are lost"},
    {"", "requested WAL segment", "drop the slot, and it is made anew; changes in between are lost"},
    {"", "can no longer get changes", "drop the slot, and it is made anew; changes in between are lost"},
    {"", "must be owner of", "let an owner CREATE PUBLICATION … FOR TABLE …, and name it in publication"},
    {"", "permission denied for database",
     "let an owner CREATE PUBLICATION … FOR TABLE …, and name it in publication"},
    {"42501", "", "GRANT it to the user of the trigger"},
    {"", "publication \"",
     "make the publication before the slot: drop the slot, and both are made anew in order"},
}};

}  // namespace

std::string_view PgAdvice(std::string_view state, std::string_view words) {
  for (const Row& row : kRows) {
    if (!row.state.empty() && row.state != state) continue;
    if (words.find(row.words) != std::string_view::npos) return row.advice;
  }
  return "";
}

}  // namespace mayfly::gateway
