// What a PostgreSQL server says on a replication connection: the frames of the stream, and in them the messages of pgoutput,
// protocol 1 (each transaction whole, after its commit).
//
// Whoever answers at the server's address wrote it: what is cut short or says nonsense is kInvalidArgument, and nothing is
// read beyond it. Functions here are pure; texts point into what was read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"

namespace mayfly::gateway {

// A place in the server's log.
using Lsn = std::uint64_t;

std::string LsnText(Lsn lsn);  // "16/B374D848"
std::optional<Lsn> ReadLsn(std::string_view text);

struct PgWalData {
  Lsn start = 0;  // of the change
  std::string_view message;
};
struct PgKeepalive {
  Lsn end = 0;  // whatever was committed before it has been sent
  bool wants_reply = false;
};
absl::StatusOr<std::variant<PgWalData, PgKeepalive>> ReadFrame(std::string_view bytes);
// What a client says of itself. `confirmed`: what was committed before it need never come again.
std::string StandbyStatus(Lsn confirmed, std::int64_t unix_us, bool wants_reply);

struct PgColumn {
  std::string name;
  std::uint32_t type = 0;
  bool key = false;  // of the replica identity
};
struct PgRelation {
  std::uint32_t oid = 0;
  std::string schema;
  std::string name;
  char identity = 'd';  // 'd': the primary key, 'n': nothing, 'f': the whole row, 'i': an index
  std::vector<PgColumn> columns;
};
struct PgValue {
  enum class Kind { kNull, kUnchanged, kText };
  Kind kind = Kind::kNull;  // kUnchanged: a large value that this change left as it was, and that is not sent
  std::string_view text;
};
using PgRow = std::vector<PgValue>;

struct PgBegin {
  Lsn commit = 0;
  std::int64_t unix_us = 0;
  std::uint32_t xid = 0;
};
struct PgCommit {
  Lsn end = 0;
};
struct PgChange {
  enum class What { kInsert, kUpdate, kDelete };
  What what = What::kInsert;
  std::uint32_t relation = 0;
  std::optional<PgRow> before;
  bool before_is_key = false;  // of `before` only the replica identity is there
  std::optional<PgRow> after;
};
struct PgTruncate {
  std::vector<std::uint32_t> relations;
};
struct PgNothing {};  // of no meaning here

using PgMessage = std::variant<PgNothing, PgBegin, PgCommit, PgRelation, PgChange, PgTruncate>;
absl::StatusOr<PgMessage> ReadPgOutput(std::string_view bytes);

}  // namespace mayfly::gateway
