#include "gateway/sources/postgres/pg_connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/cord.h"
#include "gateway/sources/postgres/pg_advice.h"

namespace mayfly::gateway {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kSqlState[] = "mayfly.dev/sqlstate";
constexpr std::chrono::seconds kSends{30};
// How the server writes values, whatever its own settings are.
constexpr char kOptions[] =
    "-c datestyle=ISO -c intervalstyle=iso_8601 -c timezone=UTC -c extra_float_digits=3 -c bytea_output=hex "
    "-c statement_timeout=0 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=0";

// In one line, as libpq's messages are not.
std::string OneLine(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const bool space = c == '\n' || c == '\t' || c == ' ';
    if (!space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  // What libpq guesses beside what it knows.
  line = line.substr(0, line.find(" This probably means the server terminated"));
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

absl::Status ErrorOf(absl::StatusCode code, const std::string& words, const std::string& state) {
  const std::string_view advice = PgAdvice(state, words);
  absl::Status status(code, advice.empty() ? words : fmt::format("{} ({})", words, advice));
  if (!state.empty()) status.SetPayload(kSqlState, absl::Cord(state));
  return status;
}

absl::Status ErrorOf(const PGresult* result) {
  const auto field = [&](int which) {
    const char* const text = PQresultErrorField(result, which);
    return std::string(text == nullptr ? "" : text);
  };
  const std::string state = field(PG_DIAG_SQLSTATE);
  std::string words = field(PG_DIAG_MESSAGE_PRIMARY);
  if (words.empty()) words = PQresultErrorMessage(result);
  if (const std::string detail = field(PG_DIAG_MESSAGE_DETAIL); !detail.empty()) words += ": " + detail;
  // 08: of the connection; 57P: the server ends; 55006: in use.
  const bool passes =
      state.empty() || state.starts_with("08") || state.starts_with("57P") || state == "55006";
  return ErrorOf(passes ? absl::StatusCode::kUnavailable : absl::StatusCode::kFailedPrecondition,
                 OneLine(words), state);
}

// A file that only this process has, for a library that reads nothing else.
absl::StatusOr<base::FileDescriptor> PrivateFile(const char* name, const std::string& text) {
  base::FileDescriptor file(::memfd_create(name, MFD_CLOEXEC));
  if (!file || ::fchmod(file.get(), S_IRUSR | S_IWUSR) != 0 ||
      ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return base::ErrnoStatus(errno, "cannot keep a certificate in memory");
  }
  return file;
}

std::string PathOf(const base::FileDescriptor& file) {
  return fmt::format("/proc/{}/fd/{}", ::getpid(), file.get());
}

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, Clear>;

}  // namespace

PgSignal::PgSignal() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void PgSignal::Set() {
  const std::uint64_t one = 1;
  // A counter that is full is set.
  (void)!::write(fd_.get(), &one, sizeof one);
}

void PgSignal::Clear() {
  std::uint64_t count = 0;
  (void)!::read(fd_.get(), &count, sizeof count);
}

std::string PgRows::Text(std::size_t row, std::size_t column) const {
  return row < rows.size() && column < rows[row].size() ? rows[row][column].text : "";
}

absl::StatusOr<std::unique_ptr<PgConnection>> PgConnection::Connect(const PgConnectionSettings& settings,
                                                                    For purpose, const PgSignal& cancel) {
  std::unique_ptr<PgConnection> made(new PgConnection(cancel));
  std::vector<std::pair<const char*, std::string>> options = {
      {"host", settings.host},
      {"port", std::to_string(settings.port)},
      {"dbname", settings.database},
      {"user", settings.user},
      {"password", settings.password},
      {"application_name", settings.application},
      {"client_encoding", "UTF8"},
      {"options", kOptions},
      {"passfile", "/dev/null"},
      {"keepalives_idle", "10"},
      {"keepalives_interval", "5"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout", "30000"},
      {"sslcert", ""},
      {"sslkey", ""},
  };
  const auto set = [&](const char* name, std::string value) {
    std::erase_if(options, [&](const auto& option) { return std::string_view(option.first) == name; });
    options.emplace_back(name, std::move(value));
  };
  if (purpose == For::kReplication) set("replication", "database");
  if (!settings.ssl_mode.empty()) set("sslmode", settings.ssl_mode);
  const auto put = [&](const char* name, const std::string& text, base::FileDescriptor* file) {
    if (text.empty()) return absl::OkStatus();
    absl::StatusOr<base::FileDescriptor> written = PrivateFile(name, text);
    if (!written.ok()) return written.status();
    *file = *std::move(written);
    set(name, PathOf(*file));
    return absl::OkStatus();
  };
  absl::Status status = put("sslrootcert", settings.ca, &made->ca_);
  if (status.ok()) status = put("sslcert", settings.certificate, &made->certificate_);
  if (status.ok()) status = put("sslkey", settings.key, &made->key_);
  if (!status.ok()) return status;

  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : options) {
    names.push_back(name);
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  made->connection_ = PQconnectStartParams(names.data(), values.data(), 0);
  if (made->connection_ == nullptr) return absl::ResourceExhaustedError("there is no memory");
  const auto deadline = Clock::now() + kConnects;
  for (PostgresPollingStatusType state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK;) {
    if (PQstatus(made->connection_) == CONNECTION_BAD || state == PGRES_POLLING_FAILED) return made->Lost();
    absl::Status waited = made->Wait(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);
    if (absl::IsDeadlineExceeded(waited)) {
      return absl::UnavailableError(
          fmt::format("{}:{} does not answer within {} s", settings.host, settings.port,
                      std::chrono::duration_cast<std::chrono::seconds>(kConnects).count()));
    }
    if (!waited.ok()) return waited;
    state = PQconnectPoll(made->connection_);
  }
  PQsetnonblocking(made->connection_, 1);
  // What a server remarks on must not go to stderr, and is of no interest unless it is its last word.
  PQsetNoticeReceiver(
      made->connection_,
      [](void* farewell, const PGresult* notice) {
        const char* const severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
        const char* const words = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
        if (severity != nullptr && words != nullptr && std::string_view(severity) == "FATAL")
          *static_cast<std::string*>(farewell) = words;
      },
      &made->farewell_);
  return made;
}

PgConnection::~PgConnection() {
  PQfreemem(frame_);
  PQfinish(connection_);
}

int PgConnection::socket() const { return PQsocket(connection_); }
int PgConnection::server_version() const { return PQserverVersion(connection_); }

absl::Status PgConnection::Lost() const {
  std::string words = OneLine(farewell_.empty() ? PQerrorMessage(connection_) : farewell_);
  if (words.empty()) words = "the connection is lost";
  return ErrorOf(absl::StatusCode::kUnavailable, words, "");
}

absl::Status PgConnection::Wait(short events, Clock::time_point deadline) const {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return absl::DeadlineExceededError("the server does not answer in time");
    pollfd fds[] = {{socket(), events, 0}, {cancel_.fd(), POLLIN, 0}};
    const int ready = ::poll(fds, 2, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
    if (ready < 0 && errno != EINTR) return base::ErrnoStatus(errno, "poll");
    if (ready > 0 && fds[1].revents != 0) return absl::CancelledError("the trigger ends");
    if (ready > 0 && fds[0].revents != 0) return absl::OkStatus();
  }
}

absl::Status PgConnection::Flush(Clock::time_point deadline) {
  for (;;) {
    const int left = PQflush(connection_);
    if (left < 0) return Lost();
    if (left == 0) return absl::OkStatus();
    // A server that waits for its own output to be read is read from meanwhile.
    absl::Status waited = Wait(POLLIN | POLLOUT, deadline);
    if (!waited.ok()) return waited;
    if (PQconsumeInput(connection_) == 0) return Lost();
  }
}

absl::StatusOr<PgRows> PgConnection::Run(const std::string& statement,
                                         const std::vector<std::string>& parameters,
                                         std::chrono::milliseconds within) {
  const auto deadline = Clock::now() + within;
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  // A connection for replication takes the simple form alone.
  const int sent = parameters.empty()
                       ? PQsendQuery(connection_, statement.c_str())
                       : PQsendQueryParams(connection_, statement.c_str(), static_cast<int>(values.size()),
                                           nullptr, values.data(), nullptr, nullptr, 0);
  if (sent == 0) return Lost();
  if (absl::Status status = Flush(deadline); !status.ok()) return status;
  PgRows rows;
  absl::Status status;
  for (;;) {
    while (PQisBusy(connection_) != 0) {
      if (absl::Status waited = Wait(POLLIN, deadline); !waited.ok()) return waited;
      if (PQconsumeInput(connection_) == 0) return Lost();
    }
    const Result result(PQgetResult(connection_));
    if (result == nullptr) break;
    const ExecStatusType what = PQresultStatus(result.get());
    if (what == PGRES_COPY_BOTH) return rows;
    if (what != PGRES_TUPLES_OK && what != PGRES_COMMAND_OK) {
      if (status.ok()) status = ErrorOf(result.get());
      if (PQstatus(connection_) == CONNECTION_BAD) return status;
      continue;
    }
    if (what != PGRES_TUPLES_OK) continue;
    rows = {};
    const int columns = PQnfields(result.get());
    for (int column = 0; column < columns; ++column) {
      rows.names.emplace_back(PQfname(result.get(), column));
      rows.types.push_back(PQftype(result.get(), column));
    }
    for (int row = 0; row < PQntuples(result.get()); ++row) {
      auto& cells = rows.rows.emplace_back();
      for (int column = 0; column < columns; ++column) {
        const bool null = PQgetisnull(result.get(), row, column) != 0;
        cells.push_back(
            {null, null ? ""
                        : std::string(PQgetvalue(result.get(), row, column),
                                      static_cast<std::size_t>(PQgetlength(result.get(), row, column)))});
      }
    }
  }
  if (!status.ok()) return status;
  return rows;
}

absl::Status PgConnection::Stream(const std::string& statement) { return Run(statement).status(); }

absl::StatusOr<std::string_view> PgConnection::Take() {
  PQfreemem(std::exchange(frame_, nullptr));
  for (int looks = 0; looks < 2; ++looks) {
    const int size = PQgetCopyData(connection_, &frame_, 1);
    if (size > 0) return std::string_view(frame_, static_cast<std::size_t>(size));
    if (size == -2) return Lost();
    if (size == -1) {
      const Result result(PQgetResult(connection_));
      if (result != nullptr && PQresultStatus(result.get()) == PGRES_FATAL_ERROR)
        return ErrorOf(result.get());
      return absl::UnavailableError("the server has ended the stream of changes");
    }
    if (looks == 0 && PQconsumeInput(connection_) == 0) return Lost();
  }
  return std::string_view();
}

absl::Status PgConnection::Send(const std::string& frame) {
  if (PQputCopyData(connection_, frame.data(), static_cast<int>(frame.size())) <= 0) return Lost();
  return Flush(Clock::now() + kSends);
}

absl::Status PgConnection::Listen() {
  const bool lives = PQconsumeInput(connection_) != 0;
  PQisBusy(connection_);  // reads what has come
  return lives && farewell_.empty() ? absl::OkStatus() : Lost();
}

std::string SqlState(const absl::Status& status) {
  const auto payload = status.GetPayload(kSqlState);
  return payload ? std::string(*payload) : "";
}

std::string PgQuote(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace mayfly::gateway
