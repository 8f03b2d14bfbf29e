#include "tests/servers/nats_test_server.h"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"

namespace mayfly::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto kWithin = 10s;

}  // namespace

NatsTestServer::NatsTestServer(const std::string& configuration) : server_({.name = "nats"}) {
  Configure(configuration);
  const absl::Status started = server_.Start();
  EXPECT_TRUE(started.ok()) << started;
}

std::string NatsTestServer::url() const { return absl::StrCat("nats://127.0.0.1:", server_.port()); }

void NatsTestServer::SetUser(std::string username, std::string password) {
  username_ = std::move(username);
  password_ = std::move(password);
  client_.reset();
}

void NatsTestServer::Configure(const std::string& configuration) {
  base::WriteFile(server_.folder() + "/nats.conf",
                  absl::StrCat("jetstream { store_dir: \"", server_.folder(),
                               "/jetstream\", sync_interval: always }\n", configuration));
  server_.Signal(SIGHUP);
}

gateway::NatsConnection* NatsTestServer::Client() {
  if (client_ != nullptr) return client_.get();
  auto client = gateway::NatsConnection::Connect({.servers = {url()},
                                                  .client_name = "test",
                                                  .username = username_,
                                                  .password = password_,
                                                  .token = {},
                                                  .nkey_seed = {},
                                                  .creds = {},
                                                  .ca = {},
                                                  .certificate = {},
                                                  .key = {}},
                                                 inbox_);
  why_ = client.status();
  if (client.ok()) client_ = *std::move(client);
  if (client_ == nullptr) return nullptr;
  why_ = client_->Subscribe("_INBOX.test.*").status();
  if (!why_.ok()) client_.reset();
  return client_.get();
}

std::string NatsTestServer::Ask(const std::string& subject, const std::string& body, const Headers& headers) {
  std::string answer;
  const bool answered = base::Eventually([&] { return AskOnce(subject, body, headers, answer); }, kWithin);
  EXPECT_TRUE(answered) << "the server does not answer " << subject << ": " << why_;
  return answer;
}

bool NatsTestServer::AskOnce(const std::string& subject, const std::string& body, const Headers& headers,
                             std::string& answer) {
  gateway::NatsConnection* const client = Client();
  const std::string reply = absl::StrCat("_INBOX.test.", ++requests_);
  if (client == nullptr || !client->PublishWithHeaders(subject, reply, body, headers).ok()) {
    client_.reset();
    return false;
  }
  const auto until = clock_.Now() + 2s;
  while (clock_.Now() < until) {
    for (const gateway::NatsInbox::Item& item : inbox_->Take(clock_, {}, until, 100)) {
      if (item.connection != client->id()) continue;
      if (item.kind == gateway::NatsInbox::Item::Kind::kClosed) {
        client_.reset();
        return false;
      }
      if (item.kind != gateway::NatsInbox::Item::Kind::kMessage || item.message->subject() != reply) continue;
      // With a status JetStream is not ready yet, after a start.
      answer = std::string(item.message->data());
      return item.message->Header("Status").empty();
    }
  }
  return false;
}

void NatsTestServer::MakeStream(const std::string& name, const std::string& subjects) {
  const std::string answer =
      Ask("$JS.API.STREAM.CREATE." + name,
          absl::StrCat(R"({"name":")", name, R"(","subjects":[")", subjects, R"("],"storage":"file"})"));
  EXPECT_EQ(answer.find("\"error\""), std::string::npos) << answer;
}

void NatsTestServer::Publish(const std::string& subject, const std::string& body, const Headers& headers) {
  const std::string answer = Ask(subject, body, headers);
  EXPECT_NE(answer.find("\"stream\""), std::string::npos) << answer;
}

int NatsTestServer::Connections() const {
  // Of each connection: number, local address, remote address, state, in hexadecimal; state 1 is established.
  std::ifstream table("/proc/net/tcp");
  const std::string port =
      absl::StrCat(":", absl::AsciiStrToUpper(absl::StrCat(absl::Hex(server_.port(), absl::kZeroPad4))));
  int count = 0;
  for (std::string number, local, remote, state, rest; table >> number >> local >> remote >> state;) {
    std::getline(table, rest);
    if (absl::EndsWith(local, port) && state == "01") ++count;
  }
  return count;
}

}  // namespace mayfly::testing
