// A whole `mayfly up` with a trigger of a real PostgreSQL, while parts of it are killed. The ledger is what the function has
// seen; the slot at the server is what was confirmed.
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
#include "tests/servers/postgres_test_server.h"

namespace mayfly {
namespace {

using namespace std::chrono_literals;
using base::Eventually;
using ::testing::HasSubstr;
using testing::Ledger;
using ::testing::Not;
using testing::PostgresTestServer;
namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr auto kWithin = 60s;

class PostgresFaultsTest : public testing::KeptEventsTest {
 protected:
  PostgresFaultsTest() {
    server_.Run("CREATE TABLE orders (id serial PRIMARY KEY, note text)");
    server_.Run("CREATE ROLE ada LOGIN REPLICATION PASSWORD 'first-pa55word'");
    server_.Run("GRANT CREATE ON DATABASE postgres TO ada");
    server_.Run("ALTER TABLE orders OWNER TO ada");
    fs::create_directories(temp_ / "f");
    fs::copy_file(fs::path(MAYFLY_TEST_MODULE_DIR) / "reports.so", temp_ / "f/reports.so");
    WriteSecret("first-pa55word");
    WriteFunction();
  }

  void WriteFunction(const std::string& more = "") {
    base::WriteFile(
        temp_ / "f/orders.yaml",
        absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: orders}\nspec:\n"
                     "  artifact: {path: reports.so}\n  config: {port: ",
                     ledger_.port(),
                     "}\n  concurrency: 8\n  scaling: {maxReplicas: 1}\n"
                     "  retry: {maxAttempts: 2, minBackoff: 20ms, maxBackoff: 50ms}\n  triggers:\n"
                     "  - name: rows\n    postgres: {host: 127.0.0.1, port: ",
                     server_.port(), ", database: postgres, tables: [{name: public.orders}], ", more,
                     "credentials: {secretName: login}}\n"));
  }
  void WriteSecret(const std::string& password) {
    base::WriteFile(
        temp_ / "f/login.yaml",
        absl::StrCat(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {username: ada, password: ",
            password, "}\n"));
  }
  // So many rows, each in a transaction of its own.
  void Insert(int count) {
    for (int i = 0; i < count; ++i) server_.Run("INSERT INTO orders (note) VALUES ('x')");
    inserted_ += count;
  }
  std::string Slot(const std::string& what) {
    return server_.Ask(absl::StrCat("SELECT ", what, " FROM pg_replication_slots"));
  }
  bool AwaitSlot() {
    return Eventually([&] { return Slot("count(*)") == "1"; }, kWithin);
  }
  // Every row was done by the function, and is confirmed.
  bool AwaitAll() {
    const bool done =
        Eventually([&] { return ledger_.Done().size() == static_cast<std::size_t>(inserted_); }, kWithin);
    const std::string place = server_.Ask("SELECT pg_current_wal_lsn()");
    return done &&
           Eventually([&] { return Slot(absl::StrCat("confirmed_flush_lsn >= '", place, "'")) == "t"; },
                      kWithin);
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
      if (each["trigger"] == "rows") return each;
    }
    return Json::object();
  }

  Ledger ledger_;
  PostgresTestServer server_;
  int inserted_ = 0;
};

TEST_F(PostgresFaultsTest, NothingIsLostWhenTheGatewayIsKilled) {
  constexpr int kKills = 3;
  constexpr int kEvents = 400;
  {
    const auto up = Up();
    ASSERT_TRUE(AwaitSlot()) << up->err();
  }
  Insert(kEvents);
  for (int kill = 1; kill <= kKills; ++kill) {
    const auto up = Up();
    const std::size_t until = static_cast<std::size_t>(kEvents * kill / (kKills + 1));
    ASSERT_TRUE(Eventually([&] { return ledger_.Done().size() >= until; }, kWithin)) << ledger_.Done().size();
    up->Signal(SIGKILL);
    up->Wait();
  }
  const auto up = Up();
  EXPECT_TRUE(AwaitAll()) << ledger_.Done().size() << " of " << inserted_ << " done";
  ExpectConservation();
  // What was in flight, or done before a row that was.
  EXPECT_LE(Duplicates(), 100 * kKills);
  std::cout << "  " << kKills << " kills, " << inserted_ << " events, " << Duplicates()
            << " of them done twice\n";
}

TEST_F(PostgresFaultsTest, NothingIsConfirmedBeforeItsOutcome) {
  ledger_.Decide([](const Ledger::Entry&) { return Ledger::Verdict::kHold; });
  {
    const auto up = Up();
    ASSERT_TRUE(AwaitSlot()) << up->err();
    Insert(8);
    ASSERT_TRUE(Eventually([&] { return ledger_.held() == 8; }, kWithin)) << ledger_.held();
    up->Signal(SIGKILL);
    up->Wait();
  }
  ledger_.Decide(nullptr);
  const auto up = Up();
  EXPECT_TRUE(AwaitAll()) << ledger_.Done().size();
  EXPECT_EQ(Duplicates(), 0) << "what a dead gateway had was not done";
}

TEST_F(PostgresFaultsTest, AServerThatIsKilledOrStopsIsSaidAndComesBack) {
  const auto up = Up();
  ASSERT_TRUE(AwaitSlot()) << up->err();
  for (const bool killed : {true, false}) {
    Insert(30);
    ASSERT_TRUE(Eventually([&] { return ledger_.Done().size() >= 10; }, kWithin));
    if (killed) {
      server_.process().Kill();
    } else {
      server_.process().Stop();
    }
    EXPECT_TRUE(
        Eventually([&] { return Condition().starts_with("False trigger rows: postgres: "); }, kWithin))
        << Condition();
    server_.StartAgain();
    EXPECT_TRUE(Eventually([&] { return Condition().starts_with("True"); }, kWithin)) << Condition();
  }
  Insert(30);
  EXPECT_TRUE(AwaitAll()) << ledger_.Done().size();
  EXPECT_EQ(Duplicates(), 0) << "a gateway remembers what a killed server has forgotten";
  ExpectConservation();
}

TEST_F(PostgresFaultsTest, CredentialsThatAreRevokedAndReplacedTakeEffectByThemselves) {
  const auto up = Up();
  ASSERT_TRUE(AwaitSlot()) << up->err();
  Insert(5);
  ASSERT_TRUE(AwaitAll());
  server_.Run("ALTER ROLE ada PASSWORD 'second-pa55word'");
  server_.Run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ada'");
  EXPECT_TRUE(Eventually(
      [&] { return Condition().find("password authentication failed") != std::string::npos; }, kWithin))
      << Condition();
  WriteSecret("second-pa55word");
  EXPECT_TRUE(Eventually([&] { return Condition().starts_with("True"); }, kWithin)) << Condition();
  Insert(5);
  EXPECT_TRUE(AwaitAll());
  for (const std::string& shown :
       {up->out(), up->err(), Run({"get", "orders", "-o", "json"}), Run({"events", "--json"})})
    EXPECT_THAT(shown, Not(HasSubstr("pa55word")));
  fs::remove(temp_ / "f/login.yaml");
  EXPECT_TRUE(
      Eventually([&] { return Condition().find("there is no Secret login") != std::string::npos; }, kWithin))
      << Condition();
  EXPECT_EQ(Slot("count(*)"), "1") << "a trigger that is kept back is not deleted";
}

TEST_F(PostgresFaultsTest, APoisonEventIsADeadLetterAndTheOthersGoOn) {
  ledger_.Decide([](const Ledger::Entry& entry) {
    return entry.body.find(R"("key":{"id":3})") != std::string::npos ? Ledger::Verdict::kFail
                                                                     : Ledger::Verdict::kDone;
  });
  const auto up = Up();
  ASSERT_TRUE(AwaitSlot()) << up->err();
  Insert(10);
  ASSERT_TRUE(Eventually([&] { return ledger_.Done().size() == 9; }, kWithin));
  const auto letters = [&] { return Json::parse(Run({"dlq", "list", "--json"}))["letters"]; };
  ASSERT_TRUE(Eventually([&] { return letters().size() == 1; }, kWithin));
  ExpectConservation();
  ledger_.Decide(nullptr);
  Run({"dlq", "redrive", std::string(letters()[0]["id"])});
  EXPECT_TRUE(AwaitAll());
}

TEST_F(PostgresFaultsTest, ASlotGoesWithItsTriggerAndStaysWhereItIsToldTo) {
  {
    const auto up = Up();
    ASSERT_TRUE(AwaitSlot()) << up->err();
    up->Signal(SIGTERM);
    EXPECT_EQ(up->Wait(), 0);
  }
  EXPECT_EQ(Slot("count(*)"), "1") << "an end is no deletion";
  const auto up = Up();
  Insert(3);
  ASSERT_TRUE(AwaitAll());
  fs::remove(temp_ / "f/orders.yaml");
  EXPECT_TRUE(Eventually([&] { return Slot("count(*)") == "0"; }, kWithin)) << up->err();
  EXPECT_TRUE(Eventually([&] { return server_.Ask("SELECT count(*) FROM pg_publication") == "0"; }, kWithin));
  // Deleted and made again, with the place kept: nothing is lost in between.
  WriteFunction("onDelete: Keep, ");
  ASSERT_TRUE(AwaitSlot());
  fs::remove(temp_ / "f/orders.yaml");
  ASSERT_TRUE(Eventually([&] { return Slot("active") == "f"; }, kWithin));
  Insert(3);
  WriteFunction("onDelete: Keep, ");
  EXPECT_TRUE(AwaitAll()) << ledger_.Done().size();
}

}  // namespace
}  // namespace mayfly
