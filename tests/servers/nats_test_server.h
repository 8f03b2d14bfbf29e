// A NATS server under a test, and a client of it: makes streams and publishes, with the source's own connection.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/sources/nats/nats_connection.h"
#include "tests/servers/server_process.h"

namespace mayfly::testing {

class NatsTestServer {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  // A server that knows no users, or that has `configuration` besides.
  explicit NatsTestServer(const std::string& configuration = "");

  ServerProcess& process() { return server_; }
  std::string url() const;
  // As whom the client comes.
  void SetUser(std::string username, std::string password);
  // Takes effect without a restart.
  void Configure(const std::string& configuration);

  void MakeStream(const std::string& name, const std::string& subjects);
  // Returns what JetStream answers.
  std::string Ask(const std::string& subject, const std::string& body, const Headers& headers = {});
  // Returns once the message is stored.
  void Publish(const std::string& subject, const std::string& body, const Headers& headers = {});
  // How many clients are connected.
  int Connections() const;

 private:
  gateway::NatsConnection* Client();  // null if there is none now
  bool AskOnce(const std::string& subject, const std::string& body, const Headers& headers,
               std::string& answer);

  ServerProcess server_;
  std::string username_;
  std::string password_;
  base::RealClock clock_;
  std::shared_ptr<gateway::NatsInbox> inbox_ = std::make_shared<gateway::NatsInbox>();
  std::unique_ptr<gateway::NatsConnection> client_;
  absl::Status why_;  // there is no client
  std::uint64_t requests_ = 0;
};

}  // namespace mayfly::testing
