// The contract of durable sources over PostgreSQL's logical replication, and what is PostgreSQL's own, against a real server.
#include "gateway/sources/postgres/postgres_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/testing/eventually.h"
#include "gateway/sources/testing/recording_event_sink.h"
#include "gateway/sources/testing/source_contract.h"
#include "tests/servers/postgres_test_server.h"

namespace mayfly::gateway {
namespace {

using Json = nlohmann::json;
using mayfly::testing::PostgresTestServer;
using ::testing::HasSubstr;
using ::testing::Not;

// The contract's bodies are a column of the rows: these take them out.
class BodySink final : public EventSink {
 public:
  explicit BodySink(EventSink& to) : to_(to) {}
  void Push(std::vector<SourceEvent> events) override {
    for (SourceEvent& event : events) event.body = Json::parse(event.body)["after"]["body"];
    to_.Push(std::move(events));
  }
  void Revoke(std::vector<EventToken> tokens) override { to_.Revoke(std::move(tokens)); }
  void SetBacklog(Backlog backlog) override { to_.SetBacklog(std::move(backlog)); }
  void SetHealth(absl::Status health) override { to_.SetHealth(std::move(health)); }
  void SaveCursor(std::string cursor) override { to_.SaveCursor(std::move(cursor)); }
  void CountLost(std::size_t count) override { to_.CountLost(count); }

 private:
  EventSink& to_;
};

class BodySource final : public EventSource {
 public:
  explicit BodySource(std::unique_ptr<EventSource> of) : of_(std::move(of)) {}
  SourceTraits traits() const override { return of_->traits(); }
  absl::Status Start(EventSink& sink) override { return of_->Start(sink_.emplace(sink)); }
  void Grant(std::size_t credits) override { of_->Grant(credits); }
  void Settle(const std::vector<Settlement>& settlements) override { of_->Settle(settlements); }
  void Extend(const std::vector<EventToken>& tokens) override { of_->Extend(tokens); }
  void Quiesce() override { of_->Quiesce(); }
  void Stop(std::chrono::steady_clock::time_point deadline) override { of_->Stop(deadline); }

 private:
  std::optional<BodySink> sink_;
  std::unique_ptr<EventSource> of_;
};

class BodyFactory final : public SourceFactory {
 public:
  v1::EventTrigger::SourceCase kind() const override { return of_->kind(); }
  bool exclusive() const override { return of_->exclusive(); }
  absl::StatusOr<std::unique_ptr<EventSource>> Make(const v1::EventTrigger& trigger,
                                                    const SourceContext& context) override {
    auto made = of_->Make(trigger, context);
    if (!made.ok()) return made.status();
    return std::make_unique<BodySource>(*std::move(made));
  }

 private:
  const std::unique_ptr<SourceFactory> of_ = MakePostgresFactory();
};

void SetUser(v1::EventTrigger& trigger, const std::string& user, const std::string& password) {
  trigger.set_secret_name("login");
  (*trigger.mutable_secret())["username"] = user;
  (*trigger.mutable_secret())["password"] = password;
}

v1::EventTrigger TriggerOf(const PostgresTestServer& server, const std::string& table) {
  v1::EventTrigger trigger;
  trigger.set_name("rows");
  trigger.mutable_postgres()->set_host("127.0.0.1");
  trigger.mutable_postgres()->set_port(static_cast<std::uint32_t>(server.port()));
  trigger.mutable_postgres()->set_database("postgres");
  trigger.mutable_postgres()->add_tables()->set_name(table);
  SetUser(trigger, "postgres", "postgres");
  return trigger;
}

class PostgresRig {
 public:
  static constexpr std::chrono::milliseconds kLease{2'000};
  // What it forgets, the source remembers.
  static constexpr std::chrono::milliseconds kForgets{0};
  static constexpr bool kOrdered = true;
  static constexpr bool kExclusive = true;

  PostgresRig() {
    server_.Run("CREATE TABLE orders (lane text PRIMARY KEY, body text)");
    server_.Run("CREATE PUBLICATION orders_pub FOR TABLE orders");
    server_.Run("SELECT pg_create_logical_replication_slot('orders_slot', 'pgoutput')");
  }
  SourceFactory& factory() { return factory_; }
  v1::EventTrigger Trigger() {
    v1::EventTrigger trigger = TriggerOf(server_, "public.orders");
    trigger.mutable_postgres()->set_publication("orders_pub");
    trigger.mutable_postgres()->set_slot("orders_slot");
    return trigger;
  }
  void Publish(const std::string& lane, const std::string& body) {
    server_.Run("INSERT INTO orders VALUES ($1, $2) ON CONFLICT (lane) DO UPDATE SET body = excluded.body",
                {lane, body});
  }
  void KillServer() { server_.process().Kill(); }
  void StopServer() { server_.process().Stop(); }
  void StartServer() { server_.StartAgain(); }
  v1::EventTrigger Unwelcome() {
    v1::EventTrigger trigger = Trigger();
    SetUser(trigger, "postgres", "wrong pa55word");
    return trigger;
  }
  std::string refusal() { return "password authentication failed for user \"postgres\""; }
  v1::EventTrigger Absent() { return TriggerOf(server_, "public.payments"); }
  std::string absence() { return "relation \"public.payments\" does not exist"; }
  void MakeAbsent() { server_.Run("CREATE TABLE payments (id int PRIMARY KEY)"); }
  std::string in_use() { return "replication slot \"orders_slot\" is active for PID"; }

 private:
  PostgresTestServer server_;
  BodyFactory factory_;
};

}  // namespace

INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, SourceContract, PostgresRig);

namespace {

// Beyond the contract.
class PostgresSourceTest : public ::testing::Test {
 protected:
  std::unique_ptr<TestGateway> Start(const v1::EventTrigger& trigger, std::size_t credits = 100) {
    auto gateway = std::make_unique<TestGateway>(*factory_, trigger, credits);
    EXPECT_TRUE(gateway->AwaitHealthy()) << gateway->Said();
    return gateway;
  }
  v1::EventTrigger Trigger(const std::string& table = "public.t") { return TriggerOf(server_, table); }
  std::string Confirmed() {
    return server_.Ask("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name LIKE 'mayfly%'");
  }
  std::string Slots() { return server_.Ask("SELECT count(*) FROM pg_replication_slots"); }

  PostgresTestServer server_;
  const std::unique_ptr<SourceFactory> factory_ = MakePostgresFactory();
};

TEST_F(PostgresSourceTest, BringsRowsOfManyTypesAsJson) {
  server_.Run(
      "CREATE TABLE t (id bigint PRIMARY KEY, small int2, yes bool, price numeric(10,2), ratio float8, note "
      "text, doc "
      "jsonb, at timestamptz, bytes bytea, tags text[], nothing text, \"Odd \"\"name\" int)");
  const auto gateway = Start(Trigger());
  server_.Run(
      "INSERT INTO t VALUES (9007199254740993, -7, true, 12.50, 'NaN', E'a \"quoted\"\\n\\u00e4\\t\\\\', "
      "'{\"a\": [1, "
      "null]}', '2026-05-04 12:00:00.5+02', '\\x00ff', '{x,y}', NULL, 1)");
  ASSERT_EQ(gateway->Await(1).size(), 1u) << gateway->Said();
  const SourceEvent event = gateway->Await(1)[0];
  EXPECT_EQ(event.event.source(), "/postgres/postgres");
  EXPECT_EQ(event.event.type(), "dev.mayfly.postgres.insert");
  EXPECT_EQ(event.event.subject(), "public.t");
  EXPECT_EQ(event.event.data_content_type(), "application/json");
  EXPECT_EQ(event.event.time().substr(0, 2), "20");
  EXPECT_THAT(event.body, HasSubstr("\"price\":12.50")) << "as the server writes it";
  const Json body = Json::parse(event.body);
  EXPECT_EQ(body["op"], "insert");
  EXPECT_EQ(body["schema"], "public");
  EXPECT_EQ(body["table"], "t");
  EXPECT_EQ(body["key"], Json({{"id", 9007199254740993}}));
  EXPECT_TRUE(body["before"].is_null());
  EXPECT_EQ(body["after"], Json({{"id", 9007199254740993},
                                 {"small", -7},
                                 {"yes", true},
                                 {"price", 12.5},
                                 {"ratio", "NaN"},
                                 {"note", "a \"quoted\"\n\u00e4\t\\"},
                                 {"doc", {{"a", {1, nullptr}}}},
                                 {"at", "2026-05-04 10:00:00.5+00"},
                                 {"bytes", "\\x00ff"},
                                 {"tags", "{x,y}"},
                                 {"nothing", nullptr},
                                 {"Odd \"name", 1}}));
  EXPECT_EQ(body["commitTime"], event.event.time());
  EXPECT_GT(body["xid"], 0);
  EXPECT_EQ(event.event.id(),
            absl::StrCat(std::string(body["commitLsn"]), "-", std::string(body["lsn"]), "-0"));
}

TEST_F(PostgresSourceTest, BringsUpdatesDeletesAndTruncationsWithTheRowBefore) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY, n int)");
  server_.Run("CREATE TABLE whole (id int PRIMARY KEY, n int)");
  server_.Run("ALTER TABLE whole REPLICA IDENTITY FULL");
  v1::EventTrigger trigger = Trigger();
  trigger.mutable_postgres()->add_tables()->set_name("whole");
  const auto gateway = Start(trigger);
  server_.Run("INSERT INTO t VALUES (1, 1)");
  server_.Run("UPDATE t SET n = 2");
  server_.Run("UPDATE t SET id = 5");
  server_.Run("DELETE FROM t");
  server_.Run("INSERT INTO whole VALUES (1, 1)");
  server_.Run("UPDATE whole SET n = 2");
  server_.Run("DELETE FROM whole");
  server_.Run("TRUNCATE t, whole");
  const std::vector<SourceEvent> events = gateway->Await(9);
  ASSERT_EQ(events.size(), 9u);
  const auto rows = [&](std::size_t n) {
    const Json body = Json::parse(events[n].body);
    return absl::StrCat(std::string(body["op"]), " ", body["key"].dump(), " ", body["before"].dump(), " ",
                        body["after"].dump());
  };
  EXPECT_EQ(rows(0), R"(insert {"id":1} null {"id":1,"n":1})");
  EXPECT_EQ(rows(1), R"(update {"id":1} null {"id":1,"n":2})");
  EXPECT_EQ(rows(2), R"(update {"id":5} {"id":1} {"id":5,"n":2})");
  EXPECT_EQ(rows(3), R"(delete {"id":5} {"id":5} null)");
  EXPECT_EQ(rows(4), R"(insert {"id":1} null {"id":1,"n":1})");
  EXPECT_EQ(rows(5), R"(update {"id":1} {"id":1,"n":1} {"id":1,"n":2})");
  EXPECT_EQ(rows(6), R"(delete {"id":1} {"id":1,"n":2} null)");
  EXPECT_EQ(rows(7), "truncate null null null");
  EXPECT_EQ(events[8].event.type(), "dev.mayfly.postgres.truncate");
  EXPECT_EQ(events[0].lane, events[1].lane);
  EXPECT_EQ(events[1].lane, events[2].lane) << "a key that changes goes with the old one";
  EXPECT_EQ(events[4].lane, events[6].lane) << "of the whole row the primary key is the lane";
  EXPECT_NE(events[0].lane, events[4].lane);
}

TEST_F(PostgresSourceTest, MarksLargeValuesThatAnUpdateLeftAlone) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY, n int, large text)");
  server_.Run("ALTER TABLE t ALTER large SET STORAGE EXTERNAL");
  const auto gateway = Start(Trigger());
  server_.Run("INSERT INTO t VALUES (1, 1, repeat('x', 100000))");
  server_.Run("UPDATE t SET n = 2");
  ASSERT_EQ(gateway->Await(2).size(), 2u);
  EXPECT_EQ(std::string(Json::parse(gateway->Await(2)[0].body)["after"]["large"]).size(), 100'000u);
  const Json update = Json::parse(gateway->Await(2)[1].body);
  EXPECT_EQ(update["after"].dump(), R"({"id":1,"n":2})");
  EXPECT_EQ(update["unchanged"].dump(), R"(["large"])");
}

TEST_F(PostgresSourceTest, TakesOnlyTheTablesColumnsAndOperationsOfTheTrigger) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY, n int, secret text)");
  server_.Run("CREATE TABLE other (id int PRIMARY KEY)");
  v1::EventTrigger trigger = Trigger();
  trigger.mutable_postgres()->mutable_tables(0)->add_columns("n");
  trigger.mutable_postgres()->add_operations(v1::PostgresTrigger::INSERT);
  trigger.mutable_postgres()->add_operations(v1::PostgresTrigger::DELETE);
  const auto gateway = Start(trigger);
  server_.Run("INSERT INTO other VALUES (1)");
  server_.Run("INSERT INTO t VALUES (1, 2, 'x')");
  server_.Run("UPDATE t SET n = 3");
  server_.Run("DELETE FROM t");
  ASSERT_EQ(gateway->Await(2).size(), 2u);
  EXPECT_EQ(Json::parse(gateway->Await(2)[0].body)["after"].dump(), R"({"n":2})");
  EXPECT_EQ(Json::parse(gateway->Await(2)[1].body)["op"], "delete");
  gateway->Stop();
  // Its own publication follows its settings.
  trigger.mutable_postgres()->add_tables()->set_name("other");
  trigger.mutable_postgres()->clear_operations();
  const auto next = Start(trigger);
  server_.Run("INSERT INTO other VALUES (2)");
  server_.Run("TRUNCATE other");
  EXPECT_TRUE(base::Eventually([&] {
    const auto events = next->From(0);
    return !events.empty() && events.back().event.type() == "dev.mayfly.postgres.truncate";
  })) << next->Said();
}

TEST_F(PostgresSourceTest, ConfirmsACommitOnceEveryEventOfItAndBeforeIsSettled) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY)");
  const auto gateway = Start(Trigger());
  server_.Run("INSERT INTO t VALUES (1), (2)");
  server_.Run("INSERT INTO t VALUES (3)");
  const std::vector<SourceEvent> events = gateway->Await(3);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_NE(events[0].event.id(), events[1].event.id());
  const auto before = [&] {
    return server_.Ask(absl::StrCat("SELECT confirmed_flush_lsn <= '",
                                    std::string(Json::parse(events[0].body)["commitLsn"]),
                                    "' FROM pg_replication_slots")) == "t";
  };
  gateway->Settle(events[2]);
  gateway->Settle(events[0]);
  ASSERT_TRUE(base::Eventually([&] { return gateway->sink().backlog() == Backlog::Of(1); }));
  EXPECT_FALSE(base::Eventually([&] { return !before(); }, std::chrono::milliseconds(1'500)));
  gateway->Settle(events[1], Settled::kDeadLettered);
  EXPECT_TRUE(base::Eventually([&] { return !before(); }));
}

TEST_F(PostgresSourceTest, AdvancesWhileNothingOfItsTablesChanges) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY)");
  server_.Run("CREATE TABLE busy (id serial, text text)");
  const auto gateway = Start(Trigger());
  server_.Run("INSERT INTO busy (text) SELECT repeat('x', 1000) FROM generate_series(1, 1000)");
  const std::string place = server_.Ask("SELECT pg_current_wal_lsn()");
  EXPECT_TRUE(base::Eventually([&] {
    return server_.Ask(
               absl::StrCat("SELECT confirmed_flush_lsn >= '", place, "' FROM pg_replication_slots")) == "t";
  })) << Confirmed();
}

TEST_F(PostgresSourceTest, BeatsWhereItIsToldTo) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY)");
  v1::EventTrigger trigger = Trigger();
  trigger.mutable_postgres()->set_heartbeat_ms(200);
  const auto gateway = Start(trigger);
  const std::string first = Confirmed();
  EXPECT_TRUE(base::Eventually([&] { return Confirmed() != first; }));
  EXPECT_TRUE(gateway->Healthy()) << gateway->Said();
}

// One gateway's source of a trigger that is leased by `epoch`.
struct LeasedReader {
  LeasedReader(const v1::EventTrigger& trigger, std::uint64_t epoch) {
    SourceContext context;
    context.key = {"default/f", "rows"};
    context.epoch = epoch;
    context.clock = &clock;
    source = factory->Make(trigger, context).value();
    EXPECT_TRUE(source->Start(sink).ok());
    source->Grant(100);
  }
  ~LeasedReader() {
    source->Quiesce();
    source->Stop(std::chrono::steady_clock::now() + std::chrono::seconds(2));
  }
  bool AwaitHealth(std::string_view part) const {
    return base::Eventually([&] {
      const std::optional<absl::Status> health = sink.health();
      return health && (part.empty() ? health->ok() : health->ToString().find(part) != std::string::npos);
    });
  }

  const base::RealClock clock;
  const std::unique_ptr<SourceFactory> factory = MakePostgresFactory();
  RecordingEventSink sink;
  std::unique_ptr<EventSource> source;
};

TEST_F(PostgresSourceTest, GivesItsSlotUpToANewerOwnerAndToNobodyElse) {
  server_.Run("CREATE TABLE t (id serial PRIMARY KEY)");
  const LeasedReader first(Trigger(), 1);
  ASSERT_TRUE(first.AwaitHealth(""));
  const LeasedReader equal(Trigger(), 1);
  ASSERT_TRUE(equal.AwaitHealth("is active for PID"));
  EXPECT_TRUE(first.AwaitHealth(""));
  LeasedReader newer(Trigger(), 2);
  ASSERT_TRUE(newer.AwaitHealth(""));
  EXPECT_TRUE(first.AwaitHealth("is active for PID"));
  server_.Run("INSERT INTO t DEFAULT VALUES");
  EXPECT_EQ(newer.sink.Await(1).size(), 1u);
  EXPECT_TRUE(newer.AwaitHealth(""));
}

TEST_F(PostgresSourceTest, DropsWhatItMadeWhenItsTriggerIsDeleted) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY)");
  {
    const auto gateway = Start(Trigger());
    EXPECT_EQ(Slots(), "1");
    gateway->Stop();
    EXPECT_EQ(Slots(), "1") << "a gateway that ends is no deletion";
  }
  {
    const auto gateway = Start(Trigger());
    gateway->source().Discard();
    gateway->Stop();
  }
  EXPECT_EQ(Slots(), "0");
  EXPECT_EQ(server_.Ask("SELECT count(*) FROM pg_publication"), "0");
  v1::EventTrigger trigger = Trigger();
  trigger.mutable_postgres()->set_keep_slot(true);
  const auto gateway = Start(trigger);
  gateway->source().Discard();
  gateway->Stop();
  EXPECT_EQ(Slots(), "1");
  EXPECT_EQ(server_.Ask("SELECT count(*) FROM pg_publication"), "1");
}

TEST_F(PostgresSourceTest, LeavesASlotThatSomebodyNamed) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY)");
  v1::EventTrigger trigger = Trigger();
  trigger.mutable_postgres()->set_slot("theirs");
  const auto gateway = Start(trigger);
  gateway->source().Discard();
  gateway->Stop();
  EXPECT_EQ(server_.Ask("SELECT slot_name FROM pg_replication_slots"), "theirs");
}

TEST_F(PostgresSourceTest, BeginsWithTheRowsThatAreThere) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY, n int)");
  server_.Run("CREATE TABLE u (id int PRIMARY KEY)");
  server_.Run("INSERT INTO t SELECT i, i FROM generate_series(1, 250) i");
  server_.Run("INSERT INTO u VALUES (1000)");
  v1::EventTrigger trigger = Trigger();
  trigger.mutable_postgres()->add_tables()->set_name("public.u");
  trigger.mutable_postgres()->set_initial_snapshot(true);
  const auto gateway = Start(trigger, 100);
  ASSERT_EQ(gateway->Await(100).size(), 100u) << gateway->Said();
  EXPECT_EQ(server_.Ask("SELECT count(*) FROM pg_replication_slots WHERE NOT temporary"), "0")
      << "until all is settled it could not be read again";
  // A change meanwhile comes after the rows.
  server_.Run("UPDATE t SET n = -1 WHERE id = 7");
  gateway->source().Grant(1'000);
  ASSERT_EQ(gateway->Await(251).size(), 251u);
  for (const SourceEvent& event : gateway->From(0)) gateway->Settle(event);
  ASSERT_EQ(gateway->Await(252).size(), 252u) << gateway->Said();
  const std::vector<SourceEvent> events = gateway->From(0);
  std::set<int> ids;
  std::set<std::string> names;
  for (std::size_t n = 0; n < 251; ++n) {
    const Json body = Json::parse(events[n].body);
    EXPECT_EQ(events[n].event.type(), "dev.mayfly.postgres.snapshot");
    EXPECT_EQ(body["key"]["id"], body["after"]["id"]);
    ids.insert(static_cast<int>(body["after"]["id"]));
    names.insert(events[n].event.id());
    if (body["after"]["id"] == 7) {
      EXPECT_EQ(body["after"]["n"], 7);
      EXPECT_EQ(events[n].lane, events[251].lane);
    }
  }
  EXPECT_EQ(ids.size(), 251u);
  EXPECT_EQ(names.size(), 251u);
  EXPECT_EQ(events[251].event.type(), "dev.mayfly.postgres.update");
  gateway->Settle(events[251]);
  gateway->Stop();
  // Only once.
  const auto next = Start(trigger);
  server_.Run("INSERT INTO u VALUES (1001)");
  ASSERT_EQ(next->Await(1).size(), 1u);
  EXPECT_EQ(next->Await(1)[0].event.type(), "dev.mayfly.postgres.insert");
}

TEST_F(PostgresSourceTest, ReadsTheRowsAgainIfItEndsBeforeTheyAreSettled) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY)");
  server_.Run("INSERT INTO t SELECT generate_series(1, 50)");
  v1::EventTrigger trigger = Trigger();
  trigger.mutable_postgres()->set_initial_snapshot(true);
  std::string id;
  {
    const auto gateway = Start(trigger);
    ASSERT_EQ(gateway->Await(50).size(), 50u);
    id = gateway->Await(50)[0].event.id();
    gateway->Settle(gateway->Await(50)[0]);
  }
  server_.Run("UPDATE t SET id = 1000 WHERE id = 1");
  const auto gateway = Start(trigger);
  ASSERT_EQ(gateway->Await(50).size(), 50u) << gateway->Said();
  std::set<int> ids;
  for (const SourceEvent& event : gateway->From(0)) {
    EXPECT_NE(event.event.id(), id) << "rows of another moment are other events";
    ids.insert(static_cast<int>(Json::parse(event.body)["after"]["id"]));
  }
  EXPECT_TRUE(ids.contains(1000));
}

TEST_F(PostgresSourceTest, ReadsALargeTransactionOnlyAsFarAsItHasRoom) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY, filler text)");
  const auto gateway = Start(Trigger(), 10);
  server_.Run("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 30000) i");
  ASSERT_EQ(gateway->Await(10).size(), 10u);
  EXPECT_FALSE(base::Eventually([&] { return gateway->sink().backlog().value > 2'600; },
                                std::chrono::milliseconds(500)))
      << "2,000 wait in memory, and what one look at the socket brings";
  std::size_t seen = 0;
  while (seen < 30'000) {
    const std::vector<SourceEvent> events = gateway->From(seen);
    if (events.empty() && gateway->sink().Await(seen + 1, std::chrono::seconds(10)).size() <= seen) break;
    std::vector<Settlement> settlements;
    for (const SourceEvent& event : events) settlements.push_back({event.token, Settled::kDone, {}});
    seen += events.size();
    gateway->source().Settle(settlements);
    gateway->source().Grant(settlements.size() + 1'000);
  }
  EXPECT_EQ(seen, 30'000u) << gateway->Said();
  EXPECT_TRUE(base::Eventually([&] { return gateway->sink().backlog() == Backlog::Of(0); }));
}

TEST_F(PostgresSourceTest, LetsTheServerStopAlthoughEventsAreNotSettled) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY)");
  const auto gateway = Start(Trigger());
  server_.Run("INSERT INTO t VALUES (1)");
  ASSERT_EQ(gateway->Await(1).size(), 1u);
  server_.process().Signal(SIGINT);
  // In which words depends on which of its connections the server ends first.
  EXPECT_TRUE(gateway->AwaitComplaint("")) << gateway->Said();
  EXPECT_TRUE(base::Eventually([&] { return !mayfly::testing::Accepts(server_.port()); }));
  server_.process().Stop();
  server_.StartAgain();
  EXPECT_TRUE(gateway->AwaitHealthy()) << gateway->Said();
  EXPECT_EQ(gateway->count(), 1u) << "it has it still";
}

TEST_F(PostgresSourceTest, RaisesAnAlarmWhenItsSlotLagsBehind) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY, filler text)");
  server_.Run("ALTER TABLE t ALTER filler SET STORAGE EXTERNAL");
  v1::EventTrigger trigger = Trigger();
  trigger.mutable_postgres()->set_max_lag_bytes(1'000'000);
  const auto gateway = Start(trigger);
  server_.Run("INSERT INTO t SELECT i, repeat('x', 100000) FROM generate_series(1, 30) i");
  EXPECT_TRUE(gateway->AwaitComplaint("of the server's log back, more than maxLag (1000000)"))
      << gateway->Said();
}

TEST_F(PostgresSourceTest, SaysWhatIsMissingAtTheServerAndHowToMendIt) {
  server_.Run("CREATE TABLE t (id int PRIMARY KEY)");
  server_.Run("CREATE TABLE keyless (id int)");
  server_.Run("CREATE TABLE other (id int PRIMARY KEY)");
  server_.Run("CREATE VIEW looks AS SELECT * FROM t");
  server_.Run("CREATE ROLE plain LOGIN PASSWORD 'plain'");
  server_.Run("CREATE ROLE reader LOGIN REPLICATION PASSWORD 'reader'");
  server_.Run("CREATE PUBLICATION others FOR TABLE other");
  server_.Run("SELECT pg_create_logical_replication_slot('texts', 'test_decoding')");
  const auto complaint = [&](const v1::EventTrigger& trigger, const std::string& words) {
    TestGateway gateway(*factory_, trigger);
    EXPECT_TRUE(gateway.AwaitComplaint(words)) << gateway.Said();
  };
  v1::EventTrigger trigger = Trigger("public.keyless");
  complaint(trigger, "table public.keyless has no primary key and no replica identity");
  trigger = Trigger("looks");
  complaint(trigger, "public.looks is not a table");
  trigger = Trigger();
  trigger.mutable_postgres()->mutable_tables(0)->add_columns("nope");
  complaint(trigger, "column \"nope\" of table public.t does not exist");
  trigger = Trigger();
  trigger.mutable_postgres()->set_publication("others");
  complaint(trigger, "publication others is not of table \"public\".\"t\": ALTER PUBLICATION");
  trigger = Trigger();
  trigger.mutable_postgres()->clear_tables();
  trigger.mutable_postgres()->set_publication("nobodys");
  complaint(trigger, "publication \"nobodys\" does not exist");
  trigger = Trigger();
  trigger.mutable_postgres()->set_slot("texts");
  complaint(trigger, "replication slot \"texts\" is not one of pgoutput");
  trigger = Trigger();
  trigger.mutable_postgres()->set_database("nowhere");
  complaint(trigger, "database \"nowhere\" does not exist");
  trigger = Trigger();
  trigger.set_name("readers");  // has no publication yet
  SetUser(trigger, "reader", "reader");
  complaint(trigger, "permission denied for database postgres (let an owner CREATE PUBLICATION");
  server_.Run("CREATE PUBLICATION ours FOR TABLE t");
  trigger.mutable_postgres()->set_publication("ours");
  {
    TestGateway gateway(*factory_, trigger);
    EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  }
  SetUser(trigger, "plain", "plain");
  complaint(trigger, "(ALTER ROLE … REPLICATION for the user of the trigger)");
}

TEST(PostgresServerTest, ThatIsNotLogicalIsTold) {
  PostgresTestServer server({"-c", "wal_level=replica"});
  server.Run("CREATE TABLE t (id int PRIMARY KEY)");
  const auto factory = MakePostgresFactory();
  TestGateway gateway(*factory, TriggerOf(server, "public.t"));
  EXPECT_TRUE(
      gateway.AwaitComplaint("logical decoding requires wal_level >= logical (ALTER SYSTEM SET wal_level"))
      << gateway.Said();
}

}  // namespace
}  // namespace mayfly::gateway
