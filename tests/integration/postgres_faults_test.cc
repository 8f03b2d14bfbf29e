// The faults of sources with a real PostgreSQL, and what becomes of the slot.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/testing/eventually.h"
#include "tests/integration/source_faults.h"
#include "tests/servers/postgres_test_server.h"

namespace mayfly::testing {
namespace {

class PostgresFaultsRig {
 public:
  static constexpr char kKind[] = "postgres";
  static constexpr char kRevoked[] = "password authentication failed";
  static constexpr char kUser[] = "ada";
  static constexpr char kPassword[] = "first-pa55word";
  static constexpr std::chrono::seconds kLease{0};
  // It does, but the gateway remembers.
  static constexpr bool kServerForgets = false;
  // Without onDelete: Keep.
  static constexpr bool kKeepsPlace = false;

  PostgresFaultsRig() {
    server_.Run("CREATE TABLE orders (id serial PRIMARY KEY, note text)");
    server_.Run("CREATE ROLE ada LOGIN REPLICATION PASSWORD 'first-pa55word'");
    server_.Run("GRANT CREATE ON DATABASE postgres TO ada");
    server_.Run("ALTER TABLE orders OWNER TO ada");
  }
  std::string Trigger(const std::string& more = "") const {
    return absl::StrCat("postgres: {host: 127.0.0.1, port: ", server_.port(),
                        ", database: postgres, tables: [{name: public.orders}], ", more,
                        "credentials: {secretName: login}}");
  }
  bool Ready() { return Slot("active") == "t"; }
  // Rows, each in a transaction of its own.
  void Publish(int count) {
    for (int i = 0; i < count; ++i) server_.Run("INSERT INTO orders (note) VALUES ('x')");
    published_ += count;
  }
  static bool IsNumber(std::string_view body, int number) {
    return body.find(absl::StrCat(R"("key":{"id":)", number + 1, "}")) != std::string_view::npos;
  }
  // All or none: the slot knows a place in the log, not rows.
  int Acknowledged() {
    const std::string last = server_.Ask("SELECT pg_current_wal_lsn()");
    return Slot(absl::StrCat("confirmed_flush_lsn >= '", last, "'")) == "t" ? published_ : 0;
  }
  void Kill() { server_.process().Kill(); }
  void Start() { server_.StartAgain(); }
  void ChangePassword(const std::string& password) {
    server_.Run(absl::StrCat("ALTER ROLE ada PASSWORD '", password, "'"));
    server_.Run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ada'");
  }

  std::string Slot(const std::string& what) {
    return server_.Ask(absl::StrCat("SELECT ", what, " FROM pg_replication_slots"));
  }
  std::string Publications() { return server_.Ask("SELECT count(*) FROM pg_publication"); }

 private:
  PostgresTestServer server_;
  int published_ = 0;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, SourceFaultsTest, PostgresFaultsRig);

using PostgresSlotTest = SourceFaultsTest<PostgresFaultsRig>;

TEST_F(PostgresSlotTest, StaysWhileItsTriggerIsKeptBack) {
  const auto up = UpAndReady();
  std::filesystem::remove(temp_ / "f/login.yaml");
  ASSERT_TRUE(AwaitCondition("there is no Secret login"));
  EXPECT_EQ(rig_.Slot("count(*)"), "1");
}

TEST_F(PostgresSlotTest, GoesWithItsTriggerAndStaysWhereItIsToldTo) {
  {
    const auto up = UpAndReady();
    up->Signal(SIGTERM);
    EXPECT_EQ(up->Wait(), 0);
  }
  EXPECT_EQ(rig_.Slot("count(*)"), "1") << "an end is no deletion";
  const auto up = Up();
  Publish(3);
  ASSERT_TRUE(AwaitAll());
  std::filesystem::remove(temp_ / "f/orders.yaml");
  EXPECT_TRUE(base::Eventually([&] { return rig_.Slot("count(*)") == "0"; }, kWithin)) << up->err();
  EXPECT_TRUE(base::Eventually([&] { return rig_.Publications() == "0"; }, kWithin));
  // Deleted and made again, with the place kept: nothing is lost in between.
  WriteFunction(rig_.Trigger("onDelete: Keep, "));
  ASSERT_TRUE(base::Eventually([&] { return rig_.Slot("active") == "t"; }, kWithin));
  std::filesystem::remove(temp_ / "f/orders.yaml");
  ASSERT_TRUE(base::Eventually([&] { return rig_.Slot("active") == "f"; }, kWithin));
  Publish(3);
  WriteFunction(rig_.Trigger("onDelete: Keep, "));
  EXPECT_TRUE(AwaitAll());
}

}  // namespace
}  // namespace mayfly::testing
