#include "gateway/sources/postgres/pg_snapshot.h"

#include <fmt/format.h>

#include <utility>

namespace mayfly::gateway {
namespace {

// Rows of one statement: they are in memory together.
constexpr int kRows = 100;
constexpr std::chrono::minutes kReads{5};

}  // namespace

absl::StatusOr<std::unique_ptr<PgSnapshot>> PgSnapshot::Open(const PostgresSettings& settings,
                                                             const PgSignal& cancel, const PgNewSlot& slot) {
  std::unique_ptr<PgSnapshot> snapshot(new PgSnapshot(settings, slot.point));
  auto connection = PgConnection::Connect(settings.connection, PgConnection::For::kStatements, cancel);
  if (!connection.ok()) return connection.status();
  snapshot->connection_ = *std::move(connection);
  absl::StatusOr<std::vector<PgRelation>> tables = PublishedTables(*snapshot->connection_, settings);
  if (!tables.ok()) return tables.status();
  snapshot->tables_ = *std::move(tables);
  for (const std::string& statement : {std::string("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
                                       fmt::format("SET TRANSACTION SNAPSHOT '{}'", slot.snapshot)}) {
    if (const auto done = snapshot->connection_->Run(statement); !done.ok()) return done.status();
  }
  return snapshot;
}

absl::Status PgSnapshot::OpenTable() {
  table_ = {};
  table_.relation = tables_[next_++];
  const auto opened =
      connection_->Run(fmt::format("DECLARE rows NO SCROLL CURSOR FOR SELECT * FROM {}.{}",
                                   PgQuote(table_.relation.schema), PgQuote(table_.relation.name)));
  if (!opened.ok()) return opened.status();
  open_ = true;
  return absl::OkStatus();
}

absl::StatusOr<bool> PgSnapshot::Read(std::int64_t unix_us, PgWindow* window) {
  if (!open_) {
    if (next_ == tables_.size()) return false;
    if (absl::Status status = OpenTable(); !status.ok()) return status;
  }
  const auto rows = connection_->Run(fmt::format("FETCH {} FROM rows", kRows), {}, kReads);
  if (!rows.ok()) return rows.status();
  if (table_.relation.columns.empty()) {
    for (std::size_t n = 0; n < rows->names.size(); ++n)
      table_.relation.columns.push_back({rows->names[n], rows->types[n], false});
    const auto key = PrimaryKey(*connection_, table_.relation.oid);
    if (!key.ok()) return key.status();
    ApplySettings(settings_, *key, &table_);
  }
  for (const auto& cells : rows->rows) {
    PgRow row;
    for (const PgRows::Cell& cell : cells)
      row.push_back({cell.null ? PgValue::Kind::kNull : PgValue::Kind::kText, cell.text});
    const PgPlace place{point_, ++row_, 0};
    window->Add(place, SnapshotEvent(table_, row, unix_us, place, settings_.connection.database));
  }
  if (rows->rows.size() == kRows) return true;
  open_ = false;
  const auto closed = connection_->Run("CLOSE rows");
  if (!closed.ok()) return closed.status();
  return true;
}

}  // namespace mayfly::gateway
