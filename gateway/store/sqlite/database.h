// A Database is one SQLite connection, and a Statement one prepared statement of it, as absl::Status and RAII.
//
// Each belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace mayfly::gateway {

// kResourceExhausted for a full disk or quota; kDataLoss for a file that is damaged or is no database; kFailedPrecondition
// if another process has it; kAborted for a constraint; kInternal for what else, such as a disk that does not answer.
absl::Status SqliteStatus(sqlite3* database, std::string_view what);

class Database;

class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Parameters count from 1. Texts and blobs must live until Step() or Run() has returned.
  Statement& Bind(int index, std::int64_t value);
  Statement& BindText(int index, std::string_view value);
  Statement& BindBlob(int index, std::string_view value);

  // True if there is a row. The statement is reset once there is none, or on an error.
  absl::StatusOr<bool> Step();
  // Runs a statement without rows to its end.
  absl::Status Run();
  void Reset();

  // Of the current row; columns count from 0.
  std::int64_t Int(int column) const;
  std::string Bytes(int column) const;

 private:
  friend class Database;
  sqlite3* database_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

class Database {
 public:
  // Opens or makes the file. The folder must be there. Unless EmptyLogAtEnd() is called, the write-ahead log stays as it is
  // when the connection ends.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  absl::Status Execute(const std::string& sql);
  absl::StatusOr<Statement> Prepare(std::string_view sql);
  // The first column of the first row of `sql`; kNotFound if there is no row.
  absl::StatusOr<std::int64_t> QueryInt(const std::string& sql);
  absl::StatusOr<std::string> QueryText(const std::string& sql);
  // How many rows the last statement has changed.
  std::int64_t changes() const;
  bool in_transaction() const;

  // `committed` is called after each transaction that wrote, with how many pages the write-ahead log holds then; checkpoints are
  // the caller's from here on.
  void OnCommit(std::function<void(std::uint32_t pages)> committed);
  // Writes the log back into the database. False if that holds not all of it yet.
  absl::StatusOr<bool> Checkpoint();
  void EmptyLogAtEnd();

 private:
  explicit Database(sqlite3* database) : database_(database) {}
  sqlite3* const database_;
  std::function<void(std::uint32_t)> committed_;
};

}  // namespace mayfly::gateway
