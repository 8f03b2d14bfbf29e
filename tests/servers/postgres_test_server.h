// A PostgreSQL server under a test, and a client of it, by the source's own connection.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gateway/sources/postgres/pg_connection.h"
#include "tests/servers/server_process.h"

namespace mayfly::testing {

class PostgresTestServer {
 public:
  // `arguments` are the server's own, such as {"-c", "wal_level=replica"}.
  explicit PostgresTestServer(std::vector<std::string> arguments = {});

  ServerProcess& process() { return server_; }
  // Starts it again, after what the last one has left behind is gone.
  void StartAgain();
  int port() const { return server_.port(); }

  // As the superuser; fails the test if the server refuses it.
  gateway::PgRows Run(const std::string& statement, const std::vector<std::string>& parameters = {});
  // The first value that it returns.
  std::string Ask(const std::string& statement);
  gateway::PgConnectionSettings Settings() const;

 private:
  ServerProcess server_;
  gateway::PgSignal cancel_;
  std::unique_ptr<gateway::PgConnection> client_;
};

}  // namespace mayfly::testing
