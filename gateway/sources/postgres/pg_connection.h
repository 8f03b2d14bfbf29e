// A PgConnection is one connection to a PostgreSQL server: for statements, or for the stream of a replication slot. It does
// not come back by itself once it is lost; whoever has it makes another.
//
// The one place that knows libpq. Errors have the server's own words, in one line, and how to mend what is wrong where that
// is known; never a password. Every call that waits has a deadline, and ends when its PgCancel says so, save the look-up of
// the host's name.
//
// Not thread-safe, save PgCancel.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_descriptor.h"
#include "base/status.h"

struct pg_conn;  // libpq has no better name for it

namespace mayfly::gateway {

struct PgConnectionSettings {
  std::string host;
  int port = 5432;
  std::string database;
  std::string user;
  std::string password;
  std::string ssl_mode;     // libpq's word; "": its default
  std::string ca;           // PEM
  std::string certificate;  // PEM, with key
  std::string key;
  std::string application;  // as the server shows it

  auto operator<=>(const PgConnectionSettings&) const = default;
};

// An event that a poll() can wait for. Thread-safe.
class PgSignal {
 public:
  PgSignal();
  void Set();
  void Clear();
  int fd() const { return fd_.get(); }

 private:
  base::FileDescriptor fd_;
};

// The rows that a statement returned, as texts.
struct PgRows {
  std::vector<std::string> names;
  std::vector<std::uint32_t> types;
  struct Cell {
    bool null = true;
    std::string text;
  };
  std::vector<std::vector<Cell>> rows;

  // "" for null, and for what is not there.
  std::string Text(std::size_t row, std::size_t column) const;
  bool True(std::size_t row, std::size_t column) const { return Text(row, column) == "t"; }
};

class PgConnection {
 public:
  enum class For { kStatements, kReplication };
  static constexpr std::chrono::milliseconds kConnects{10'000};
  static constexpr std::chrono::milliseconds kAnswers{10'000};

  // `cancel` must outlive the connection. kCancelled once it is set; else kUnavailable, kUnauthenticated and the like.
  static absl::StatusOr<std::unique_ptr<PgConnection>> Connect(const PgConnectionSettings& settings,
                                                               For purpose, const PgSignal& cancel);
  ~PgConnection();

  // One statement. Its error has the payload that SqlState() reads.
  absl::StatusOr<PgRows> Run(const std::string& statement, const std::vector<std::string>& parameters = {},
                             std::chrono::milliseconds within = kAnswers);
  // Begins a stream: a START_REPLICATION.
  absl::Status Stream(const std::string& statement);
  // The next frame that is there; an empty text if none is yet. Valid until the next call. kUnavailable once the stream is over.
  absl::StatusOr<std::string_view> Take();
  absl::Status Send(const std::string& frame);
  // Of one that nobody asks anything: an error once the server has ended it.
  absl::Status Listen();

  int socket() const;
  int server_version() const;  // 150018

 private:
  explicit PgConnection(const PgSignal& cancel) : cancel_(cancel) {}
  absl::Status Wait(short events, std::chrono::steady_clock::time_point deadline) const;
  absl::Status Flush(std::chrono::steady_clock::time_point deadline);
  absl::Status Lost() const;

  const PgSignal& cancel_;
  pg_conn* connection_ = nullptr;
  char* frame_ = nullptr;  // of libpq
  std::string farewell_;   // what the server said when it ended the connection
  base::FileDescriptor ca_;
  base::FileDescriptor certificate_;
  base::FileDescriptor key_;
};

// The five characters by which a server says what kind of error it is; "" if it did not say.
std::string SqlState(const absl::Status& status);

// `name` as SQL writes names.
std::string PgQuote(std::string_view name);

}  // namespace mayfly::gateway
