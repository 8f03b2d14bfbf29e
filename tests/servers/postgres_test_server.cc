#include "tests/servers/postgres_test_server.h"

#include <gtest/gtest.h>

#include <utility>

#include "base/testing/eventually.h"

namespace mayfly::testing {
namespace {

using gateway::PgConnection;
using gateway::PgConnectionSettings;
using gateway::PgRows;
using gateway::PgSignal;

PgConnectionSettings SettingsOf(int port) {
  PgConnectionSettings settings;
  settings.host = "127.0.0.1";
  settings.port = port;
  settings.database = "postgres";
  settings.user = "postgres";
  settings.password = "postgres";
  settings.application = "test";
  return settings;
}

bool Answers(int port) {
  const PgSignal cancel;
  return PgConnection::Connect(SettingsOf(port), PgConnection::For::kStatements, cancel).ok();
}

}  // namespace

PostgresTestServer::PostgresTestServer(std::vector<std::string> arguments)
    : server_({.name = "postgres",
               .arguments = std::move(arguments),
               .ready = Answers,
               .patience = std::chrono::seconds(60),
               .stop_signal = SIGINT}) {
  const absl::Status started = server_.Start();
  EXPECT_TRUE(started.ok()) << started;
}

void PostgresTestServer::StartAgain() {
  // The processes of one that was killed end by themselves, and until then the next is refused.
  absl::Status started;
  EXPECT_TRUE(base::Eventually(
      [&] {
        started = server_.Start();
        return started.ok();
      },
      std::chrono::seconds(30)))
      << started;
}

PgConnectionSettings PostgresTestServer::Settings() const { return SettingsOf(server_.port()); }

PgRows PostgresTestServer::Run(const std::string& statement, const std::vector<std::string>& parameters) {
  absl::StatusOr<PgRows> rows = absl::UnavailableError("not tried");
  base::Eventually([&] {
    if (client_ == nullptr) {
      auto client = PgConnection::Connect(Settings(), PgConnection::For::kStatements, cancel_);
      if (!client.ok()) {
        rows = client.status();
        return false;
      }
      client_ = *std::move(client);
    }
    rows = client_->Run(statement, parameters);
    // The server was away in between.
    const bool lost = absl::IsUnavailable(rows.status());
    if (lost) client_.reset();
    return !lost;
  });
  EXPECT_TRUE(rows.ok()) << statement << ": " << rows.status();
  return rows.ok() ? *std::move(rows) : PgRows();
}

std::string PostgresTestServer::Ask(const std::string& statement) { return Run(statement).Text(0, 0); }

}  // namespace mayfly::testing
