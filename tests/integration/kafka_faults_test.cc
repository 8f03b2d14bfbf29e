// A whole `mayfly up` with a trigger of a real Kafka, while parts of it are killed. The ledger is what the function has
// seen; the group's offset at the broker is what was committed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "tests/integration/kept_events.h"
#include "tests/integration/ledger.h"
#include "tests/integration/running_mayfly.h"
#include "tests/servers/kafka_test_server.h"

namespace mayfly {
namespace {

using namespace std::chrono_literals;
using base::Eventually;
using ::testing::HasSubstr;
using testing::KafkaTestServer;
using testing::Ledger;
using ::testing::Not;
using testing::RunMayfly;
using testing::RunningMayfly;
namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr auto kWithin = 60s;
constexpr char kGroup[] = "mayfly_default_orders_queue";
// A client's connection is good for two seconds: then it shows again who it is.
constexpr char kProperties[] = R"(
listener.security.protocol.map=CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,CLIENT:SASL_PLAINTEXT
listener.name.client.sasl.enabled.mechanisms=PLAIN
listener.name.client.plain.connections.max.reauth.ms=2000
)";

std::string Users(const std::string& password) {
  return absl::StrCat(kProperties,
                      "listener.name.client.plain.sasl.jaas.config="
                      "org.apache.kafka.common.security.plain.PlainLoginModule required user_test=\"test\" "
                      "user_ada=\"",
                      password, "\";\n");
}

class KafkaFaultsTest : public testing::KeptEventsTest {
 protected:
  KafkaFaultsTest()
      : server_(Users("first-pa55word"), {},
                {{"security.protocol", "sasl_plaintext"},
                 {"sasl.mechanism", "PLAIN"},
                 {"sasl.username", "test"},
                 {"sasl.password", "test"}}) {
    server_.MakeTopic("orders");
    fs::create_directories(temp_ / "f");
    fs::copy_file(fs::path(MAYFLY_TEST_MODULE_DIR) / "reports.so", temp_ / "f/reports.so");
    WriteSecret("first-pa55word");
    base::WriteFile(
        temp_ / "f/orders.yaml",
        absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: orders}\nspec:\n"
                     "  artifact: {path: reports.so}\n  config: {port: ",
                     ledger_.port(),
                     "}\n  concurrency: 8\n  scaling: {maxReplicas: 1}\n"
                     "  retry: {maxAttempts: 2, minBackoff: 20ms, maxBackoff: 50ms}\n  triggers:\n"
                     "  - name: queue\n    kafka: {brokers: ['",
                     server_.broker(),
                     "'], topics: [orders], sessionTimeout: 2s, mechanism: PLAIN, credentials: {secretName: "
                     "login}}\n"));
  }

  void WriteSecret(const std::string& password) {
    base::WriteFile(
        temp_ / "f/login.yaml",
        absl::StrCat(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {username: ada, password: ",
            password, "}\n"));
  }
  void Publish(int count) {
    for (int i = 0; i < count; ++i)
      server_.Publish("orders", absl::StrCat("k", i % 5), absl::StrCat("o", published_++));
  }
  std::int64_t Committed() { return server_.Committed(kGroup, "orders"); }
  // Every record that was published was done by the function, and is committed.
  bool AwaitAll() {
    return Eventually([&] { return ledger_.Done().size() == static_cast<std::size_t>(published_); },
                      kWithin) &&
           Eventually([&] { return Committed() == published_; }, kWithin);
  }
  int Duplicates() const {
    int duplicates = 0;
    for (const auto& [body, count] : ledger_.Done()) duplicates += count - 1;
    return duplicates;
  }
  std::string Condition() {
    const Json function = Json::parse(Run({"get", "orders", "-o", "json"}), nullptr, false);
    for (const Json& each : function["status"]["conditions"]) {
      if (each["type"] == "TriggersReady")
        return absl::StrCat(std::string(each["status"]), " ", std::string(each["message"]));
    }
    return "";
  }
  // accepted = settled + dead-lettered + pending
  void ExpectConservation() {
    EXPECT_TRUE(Eventually([&] { return Sum().value("pending", -1) == 0; }, kWithin)) << Sum().dump();
    const Json sum = Sum();
    EXPECT_EQ(sum.value("accepted", -1),
              sum.value("settled", 0) + sum.value("dead", 0) + sum.value("pending", 0))
        << sum.dump();
  }
  Json Sum() {
    const Json sums = Json::parse(Run({"events", "--json"}), nullptr, false);
    for (const Json& each : sums["sums"]) {
      if (each["trigger"] == "queue") return each;
    }
    return Json::object();
  }
  Ledger ledger_;
  KafkaTestServer server_;
  int published_ = 0;
};

TEST_F(KafkaFaultsTest, NothingIsLostWhenTheGatewayIsKilled) {
  constexpr int kKills = 3;
  constexpr int kEvents = 400;
  Publish(kEvents);
  for (int kill = 1; kill <= kKills; ++kill) {
    const auto up = Up();
    const std::size_t until = static_cast<std::size_t>(kEvents * kill / (kKills + 1));
    ASSERT_TRUE(Eventually([&] { return ledger_.Done().size() >= until; }, kWithin)) << ledger_.Done().size();
    up->Signal(SIGKILL);
    up->Wait();
  }
  const auto up = Up();
  EXPECT_TRUE(AwaitAll()) << ledger_.Done().size() << " of " << published_ << " done; " << Committed();
  ExpectConservation();
  // What was in flight, or whose commit was on its way.
  EXPECT_LE(Duplicates(), 100 * kKills);
  std::cout << "  " << kKills << " kills, " << published_ << " events, " << Duplicates()
            << " of them done twice\n";
}

TEST_F(KafkaFaultsTest, NothingIsCommittedBeforeItsOutcome) {
  ledger_.Decide([](const Ledger::Entry&) { return Ledger::Verdict::kHold; });
  Publish(8);
  {
    const auto up = Up();
    ASSERT_TRUE(Eventually([&] { return ledger_.held() == 8; }, kWithin)) << ledger_.held();
    EXPECT_LE(Committed(), 0);
    up->Signal(SIGKILL);
    up->Wait();
  }
  EXPECT_LE(Committed(), 0);
  ledger_.Decide(nullptr);
  const auto up = Up();
  EXPECT_TRUE(AwaitAll()) << Committed();
  EXPECT_EQ(Duplicates(), 0) << "what a dead gateway had was not done";
}

TEST_F(KafkaFaultsTest, WhatAKilledRuntimeHadIsTriedAgain) {
  ledger_.Decide([](const Ledger::Entry&) { return Ledger::Verdict::kHold; });
  Publish(8);
  const auto up = Up();
  ASSERT_TRUE(Eventually([&] { return ledger_.held() == 8; }, kWithin)) << ledger_.held();
  ledger_.Decide(nullptr);
  const std::vector<pid_t> runtimes = testing::PidsWith(temp_ / "run");
  int killed = 0;
  for (const pid_t pid : runtimes) {
    std::error_code error;
    if (fs::read_symlink(absl::StrCat("/proc/", pid, "/exe"), error).filename() != "mayfly-runtime" || error)
      continue;
    ::kill(pid, SIGKILL);
    ++killed;
  }
  ASSERT_GE(killed, 1);
  EXPECT_TRUE(AwaitAll()) << Committed();
  EXPECT_EQ(Duplicates(), 0) << "none of them had its outcome";
  ExpectConservation();
}

TEST_F(KafkaFaultsTest, AHandlerThatTakesLongerThanTheSessionRunsOnce) {
  ledger_.Decide([](const Ledger::Entry&) { return Ledger::Verdict::kHold; });
  Publish(4);
  const auto up = Up();
  ASSERT_TRUE(Eventually([&] { return ledger_.held() == 4; }, kWithin));
  EXPECT_FALSE(Eventually([&] { return ledger_.entries().size() > 4; }, 6s)) << "three times sessionTimeout";
  ledger_.Release();
  EXPECT_TRUE(AwaitAll());
  EXPECT_EQ(ledger_.entries().size(), 4u);
}

TEST_F(KafkaFaultsTest, ABrokerThatIsAwayIsSaidAndComesBack) {
  const auto up = Up();
  Publish(30);
  ASSERT_TRUE(Eventually([&] { return ledger_.Done().size() >= 10; }, kWithin));
  server_.process().Kill();
  EXPECT_TRUE(Eventually([&] { return Condition().starts_with("False trigger queue: kafka: "); }, kWithin))
      << Condition();
  server_.Start();
  EXPECT_TRUE(Eventually([&] { return Condition().starts_with("True"); }, kWithin)) << Condition();
  Publish(30);
  EXPECT_TRUE(AwaitAll()) << Committed();
  EXPECT_EQ(Duplicates(), 0) << "what was done while the broker was away is known";
  ExpectConservation();
}

TEST_F(KafkaFaultsTest, CredentialsThatAreReplacedTakeEffectByThemselves) {
  const auto up = Up();
  Publish(5);
  ASSERT_TRUE(AwaitAll());
  // The broker's file of users is read when it starts.
  server_.process().Stop();
  base::WriteFile(server_.process().folder() + "/kafka.properties", Users("second-pa55word"));
  server_.Start();
  EXPECT_TRUE(Eventually(
      [&] { return Condition().find("Invalid username or password") != std::string::npos; }, kWithin))
      << Condition();
  WriteSecret("second-pa55word");
  EXPECT_TRUE(Eventually([&] { return Condition().starts_with("True"); }, kWithin)) << Condition();
  Publish(5);
  EXPECT_TRUE(AwaitAll());
  for (const std::string& shown :
       {up->out(), up->err(), Run({"get", "orders", "-o", "json"}), Run({"events", "--json"})})
    EXPECT_THAT(shown, Not(HasSubstr("pa55word")));
}

TEST_F(KafkaFaultsTest, APoisonEventIsADeadLetterAndTheOthersGoOn) {
  ledger_.Decide([](const Ledger::Entry& entry) {
    return entry.body == "o3" ? Ledger::Verdict::kFail : Ledger::Verdict::kDone;
  });
  const auto up = Up();
  Publish(10);
  ASSERT_TRUE(Eventually([&] { return ledger_.Done().size() == 9; }, kWithin));
  const auto letters = [&] { return Json::parse(Run({"dlq", "list", "--json"}))["letters"]; };
  ASSERT_TRUE(Eventually([&] { return letters().size() == 1; }, kWithin));
  EXPECT_TRUE(Eventually([&] { return Committed() == 10; }, kWithin)) << Committed();
  ExpectConservation();
  ledger_.Decide(nullptr);
  Run({"dlq", "redrive", std::string(letters()[0]["id"])});
  EXPECT_TRUE(AwaitAll());
}

TEST_F(KafkaFaultsTest, AFunctionThatIsDeletedAndMadeAgainGoesOnWhereItWas) {
  const auto up = Up();
  Publish(5);
  ASSERT_TRUE(AwaitAll());
  fs::rename(temp_ / "f/orders.yaml", temp_ / "orders.yaml");
  ASSERT_TRUE(Eventually([&] { return Run({"get", "-o", "json"}).find("\"orders\"") == std::string::npos; },
                         kWithin));
  Publish(5);
  fs::rename(temp_ / "orders.yaml", temp_ / "f/orders.yaml");
  EXPECT_TRUE(AwaitAll()) << Committed();
  EXPECT_EQ(Duplicates(), 0);
}

}  // namespace
}  // namespace mayfly
