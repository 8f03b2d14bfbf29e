#include "tests/servers/redis_test_server.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"

namespace mayfly::testing {
namespace {

using namespace std::chrono_literals;

using gateway::RedisConnection;
using gateway::RedisReply;
using gateway::RedisServer;

constexpr auto kWithin = 10s;

// Serves `connection` until `done`, or until it fails.
template <typename Done>
absl::Status ServeUntil(RedisConnection& connection, Done done) {
  const base::RealClock clock;
  const auto until = clock.Now() + kWithin;
  while (!done()) {
    if (clock.Now() > until) return absl::DeadlineExceededError("no answer in time");
    pollfd ready{.fd = connection.socket(), .events = connection.events(), .revents = 0};
    (void)::poll(&ready, 1, 100);
    if (absl::Status status = connection.Serve(ready.revents, clock.Now()); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

RedisTestServer::RedisTestServer(const std::string& configuration, std::vector<std::string> arguments,
                                 RedisServer client)
    : server_({.name = "redis", .arguments = std::move(arguments)}), settings_(std::move(client)) {
  base::WriteFile(server_.folder() + "/redis.conf", configuration);
  if (settings_.host.empty()) settings_.host = "127.0.0.1";
  if (settings_.tls) {
    auto tls = gateway::MakeRedisTls(settings_.ca, settings_.certificate, settings_.key);
    EXPECT_TRUE(tls.ok()) << tls.status();
    if (tls.ok()) tls_ = *std::move(tls);
  }
  StartAgain();
}

void RedisTestServer::StartAgain() {
  client_.reset();
  const absl::Status started = server_.Start();
  EXPECT_TRUE(started.ok()) << started;
  settings_.port = static_cast<std::uint16_t>(server_.port());
  // It takes connections before it has read its data.
  Run({"PING"});
}

std::string RedisTestServer::address() const { return absl::StrCat("127.0.0.1:", server_.port()); }

absl::StatusOr<RedisReply> RedisTestServer::AskOnce(const std::vector<std::string>& words) {
  const base::RealClock clock;
  if (client_ == nullptr) client_ = std::make_unique<RedisConnection>(settings_, tls_.get(), clock.Now());
  std::optional<RedisReply> answer;
  client_->Ask(words, clock.Now(), [&answer](RedisReply reply) { answer = std::move(reply); });
  const absl::Status served = ServeUntil(*client_, [&] { return answer.has_value(); });
  if (!served.ok()) {
    client_.reset();
    return served;
  }
  return *std::move(answer);
}

RedisReply RedisTestServer::Ask(const std::vector<std::string>& words) {
  absl::StatusOr<RedisReply> reply = absl::UnavailableError("not tried");
  EXPECT_TRUE(base::Eventually(
      [&] {
        reply = AskOnce(words);
        return reply.ok();
      },
      kWithin))
      << words.front() << ": " << reply.status();
  return reply.ok() ? *std::move(reply) : RedisReply();
}

RedisReply RedisTestServer::Run(const std::vector<std::string>& words) {
  RedisReply reply = Ask(words);
  EXPECT_FALSE(reply.is_error()) << words.front() << ": " << reply.text;
  return reply;
}

std::string RedisTestServer::Add(const std::string& stream, const Fields& fields) {
  std::vector<std::string> words = {"XADD", stream, "*"};
  for (const auto& [name, value] : fields) words.insert(words.end(), {name, value});
  return Run(words).text;
}

RedisReply RedisTestServer::GroupInfo(const std::string& stream, const std::string& group,
                                      const std::string& name) {
  const RedisReply groups = Ask({"XINFO", "GROUPS", stream});
  for (const RedisReply& each : groups.items) {
    const RedisReply* const its = each.Find("name");
    const RedisReply* const value = each.Find(name);
    if (its != nullptr && its->text == group && value != nullptr) return *value;
  }
  return {};
}

std::int64_t RedisTestServer::Pending(const std::string& stream, const std::string& group) {
  const RedisReply pending = GroupInfo(stream, group, "pending");
  return pending.is_integer() ? pending.integer : -1;
}

}  // namespace mayfly::testing
