// The contract of sources with a real Redis, and what is Redis's own.
#include "gateway/sources/redis/redis_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/testing/eventually.h"
#include "gateway/sources/testing/source_contract.h"
#include "tests/servers/redis_test_server.h"

namespace mayfly::gateway {
namespace {

using ::mayfly::testing::RedisTestServer;
using ::testing::HasSubstr;

constexpr char kUsers[] = "user ada on >pa55word ~* &* +@all\n";
constexpr char kGroup[] = "mayfly_default_f_orders";

void SetUser(v1::EventTrigger& trigger, const std::string& user, const std::string& password) {
  trigger.set_secret_name("login");
  (*trigger.mutable_secret())["username"] = user;
  (*trigger.mutable_secret())["password"] = password;
}

class RedisRig {
 public:
  static constexpr std::chrono::milliseconds kLease{2'000};
  static constexpr std::chrono::milliseconds kForgets{0};
  static constexpr bool kOrdered = true;

  RedisRig() : server_(kUsers) { server_.Run({"XGROUP", "CREATE", "orders", kGroup, "0", "MKSTREAM"}); }
  SourceFactory& factory() { return *factory_; }
  v1::EventTrigger Trigger() { return TriggerOf({"orders"}); }
  v1::EventTrigger TriggerOf(const std::vector<std::string>& streams) {
    v1::EventTrigger trigger;
    trigger.set_name("orders");
    trigger.mutable_redis()->set_server(server_.address());
    for (const std::string& stream : streams) trigger.mutable_redis()->add_streams(stream);
    trigger.mutable_redis()->set_claim_idle_ms(static_cast<std::uint32_t>(kLease.count()));
    SetUser(trigger, "ada", "pa55word");
    return trigger;
  }
  void Publish(const std::string& lane, const std::string& body) {
    server_.Add("orders", {{"partitionkey", lane}, {"data", body}});
  }
  void KillServer() { server_.process().Kill(); }
  void StopServer() { server_.process().Stop(); }
  void StartServer() { server_.StartAgain(); }
  v1::EventTrigger Unwelcome() {
    v1::EventTrigger trigger = Trigger();
    SetUser(trigger, "ada", "wrong pa55word");
    return trigger;
  }
  std::string refusal() { return "WRONGPASS invalid username-password pair"; }
  v1::EventTrigger Absent() { return TriggerOf({"payments"}); }
  std::string absence() { return "stream payments: ERR no such key"; }
  void MakeAbsent() { server_.Add("payments", {{"data", "0"}}); }

  RedisTestServer& server() { return server_; }

 private:
  RedisTestServer server_;
  const std::unique_ptr<SourceFactory> factory_ = MakeRedisFactory();
};

}  // namespace

INSTANTIATE_TYPED_TEST_SUITE_P(Redis, SourceContract, RedisRig);

namespace {

// Beyond the contract.
class RedisSourceTest : public ::testing::Test {
 protected:
  static constexpr std::chrono::milliseconds kMoment{500};

  RedisTestServer& server() { return rig_.server(); }
  // Another consumer of the group, which takes up to `count` entries and is not heard of again.
  void Take(const std::string& consumer, int count) {
    server().Run(
        {"XREADGROUP", "GROUP", kGroup, consumer, "COUNT", absl::StrCat(count), "STREAMS", "orders", ">"});
  }
  void Publish(int count) {
    for (int n = 0; n < count; ++n) rig_.Publish("lane", absl::StrCat(published_++));
  }
  std::set<std::string> Consumers() {
    std::set<std::string> names;
    for (const RedisReply& each : server().Run({"XINFO", "CONSUMERS", "orders", kGroup}).items)
      names.insert(each.Find("name")->text);
    return names;
  }
  static std::set<std::string> Bodies(const std::vector<SourceEvent>& events) {
    std::set<std::string> bodies;
    for (const SourceEvent& event : events) bodies.insert(event.body);
    return bodies;
  }
  static bool AwaitBacklog(TestGateway& gateway, std::uint64_t value) {
    return base::Eventually([&] { return gateway.sink().backlog() == Backlog::Of(value); },
                            TestGateway::kWithin);
  }
  static bool StaysAt(TestGateway& gateway, std::size_t count, std::chrono::milliseconds span) {
    return !base::Eventually([&] { return gateway.count() > count; }, span);
  }

  RedisRig rig_;
  int published_ = 0;
};

TEST_F(RedisSourceTest, BringsAnEntryAsAnEvent) {
  const std::string id = server().Add("orders", {{"order", "7"}, {"state", "paid"}});
  const SourceEvent event = FirstEvent(rig_.factory(), rig_.Trigger());
  EXPECT_EQ(event.event.id(), "orders/" + id);
  EXPECT_EQ(event.event.source(), "/redis/orders");
  EXPECT_EQ(event.event.type(), "dev.mayfly.redis.entry");
  EXPECT_EQ(event.event.time().substr(0, 2), "20");
  EXPECT_EQ(nlohmann::json::parse(event.body), nlohmann::json::parse(R"({"order":"7","state":"paid"})"));
  EXPECT_EQ(AttributeOf(event, "redisid"), id);
  EXPECT_EQ(server().Pending("orders", kGroup), 0);
}

TEST_F(RedisSourceTest, ReadsSeveralStreamsAndPushesNoMoreThanIsGranted) {
  for (const std::string stream : {"orders", "refunds", "returns"}) {
    for (int n = 0; n < 5; ++n) server().Add(stream, {{"data", absl::StrCat(stream, n)}});
  }
  TestGateway gateway(rig_.factory(), rig_.TriggerOf({"orders", "refunds", "returns"}), 1);
  ASSERT_EQ(gateway.Await(1).size(), 1u) << gateway.Said();
  EXPECT_TRUE(StaysAt(gateway, 1, kMoment)) << "the server counts for each stream on its own";
  EXPECT_TRUE(AwaitBacklog(gateway, 15)) << gateway.sink().backlog().value;
  // What came beyond the credits is refreshed.
  EXPECT_TRUE(StaysAt(gateway, 1, 2 * RedisRig::kLease));
  gateway.source().Grant(1);
  EXPECT_EQ(gateway.Await(2).size(), 2u);
  EXPECT_TRUE(StaysAt(gateway, 2, kMoment));
  gateway.source().Grant(100);
  EXPECT_EQ(gateway.Await(15).size(), 15u);
  EXPECT_EQ(Bodies(gateway.Await(15)).size(), 15u);
  for (const SourceEvent& event : gateway.Await(15)) {
    EXPECT_EQ(event.deliveries, 1u) << event.body;
    gateway.Settle(event);
  }
  EXPECT_TRUE(AwaitBacklog(gateway, 0)) << gateway.sink().backlog().value;
}

TEST_F(RedisSourceTest, BeginsWithWhatComesIfItIsToldTo) {
  Publish(2);
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_redis()->set_group("newest");
  trigger.mutable_redis()->set_start_from(v1::RedisTrigger::START_FROM_NEW);
  TestGateway gateway(rig_.factory(), trigger);
  ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  Publish(1);
  ASSERT_EQ(gateway.Await(1).size(), 1u);
  EXPECT_EQ(gateway.Await(1)[0].body, "2");
}

TEST_F(RedisSourceTest, BringsTheFirstEntryOfAStreamThatComesLater) {
  v1::EventTrigger trigger = rig_.Absent();
  trigger.mutable_redis()->set_start_from(v1::RedisTrigger::START_FROM_NEW);
  TestGateway gateway(rig_.factory(), trigger);
  ASSERT_TRUE(gateway.AwaitComplaint("it begins with the first XADD")) << gateway.Said();
  server().Add("payments", {{"data", "first"}});
  ASSERT_EQ(gateway.Await(1).size(), 1u) << gateway.Said();
  EXPECT_EQ(gateway.Await(1)[0].body, "first");
}

TEST_F(RedisSourceTest, TakesOverWhatADeadConsumerHadAndKnowsHowOftenItWasHandedOut) {
  Publish(250);
  Take("dead", 250);
  TestGateway gateway(rig_.factory(), rig_.Trigger(), 1'000);
  ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  ASSERT_TRUE(AwaitBacklog(gateway, 250)) << "they wait, although they are handed out";
  EXPECT_EQ(gateway.count(), 0u) << "they may be worked on yet";
  ASSERT_EQ(gateway.Await(250).size(), 250u);
  for (const SourceEvent& event : gateway.Await(250)) {
    EXPECT_EQ(event.deliveries, 2u);
    gateway.Settle(event);
  }
  EXPECT_TRUE(AwaitBacklog(gateway, 0)) << gateway.sink().backlog().value;
  EXPECT_EQ(server().Pending("orders", kGroup), 0);
  EXPECT_EQ(gateway.count(), 250u);
}

TEST_F(RedisSourceTest, TakesOverNoMoreThanItHasRoomFor) {
  Publish(20);
  Take("dead", 20);
  TestGateway gateway(rig_.factory(), rig_.Trigger(), 3);
  ASSERT_EQ(gateway.Await(3).size(), 3u);
  EXPECT_TRUE(StaysAt(gateway, 3, RedisRig::kLease));
  gateway.source().Grant(100);
  EXPECT_EQ(gateway.Await(20).size(), 20u);
}

TEST_F(RedisSourceTest, HoldsNoMoreInMemoryThanItsBound) {
  constexpr std::size_t kEntries = 40;
  for (std::size_t n = 0; n < kEntries; ++n) server().Add("orders", {{"data", std::string(1 << 20, 'x')}});
  TestGateway gateway(rig_.factory(), rig_.Trigger(), 1'000);
  ASSERT_EQ(gateway.Await(32).size(), 32u) << gateway.Said();
  EXPECT_TRUE(StaysAt(gateway, 32, kMoment)) << "32 MiB are enough";
  for (const SourceEvent& event : gateway.Await(32)) gateway.Settle(event);
  EXPECT_EQ(gateway.Await(kEntries).size(), kEntries);
}

TEST_F(RedisSourceTest, GivesAnotherGatewayAtOnceWhatItHasReleased) {
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_redis()->set_claim_idle_ms(600'000);
  TestGateway first(rig_.factory(), trigger);
  Publish(5);
  ASSERT_EQ(first.Await(5).size(), 5u);
  TestGateway second(rig_.factory(), trigger);
  ASSERT_TRUE(second.AwaitHealthy());
  first.source().Quiesce();
  for (const SourceEvent& event : first.Await(5)) first.Settle(event, Settled::kReleased);
  EXPECT_EQ(second.Await(5).size(), 5u) << "long before claimIdle";
}

TEST_F(RedisSourceTest, CountsWhatWasTrimmedBeforeItWasDoneAsLost) {
  Publish(10);
  Take("dead", 10);
  server().Run({"XTRIM", "orders", "MAXLEN", "4"});
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  ASSERT_EQ(gateway.Await(4).size(), 4u) << gateway.Said();
  EXPECT_TRUE(base::Eventually([&] { return gateway.sink().lost() == 6; }, TestGateway::kWithin))
      << gateway.sink().lost();
  for (const SourceEvent& event : gateway.Await(4)) gateway.Settle(event);
  EXPECT_TRUE(AwaitBacklog(gateway, 0)) << "what is lost does not wait: " << gateway.sink().backlog().value;
  EXPECT_EQ(server().Pending("orders", kGroup), 0);
  EXPECT_TRUE(gateway.Healthy()) << gateway.Said();
}

TEST_F(RedisSourceTest, GoesOnWithWhatIsDeletedWhileItRuns) {
  Publish(2);
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  const std::vector<SourceEvent> events = gateway.Await(2);
  ASSERT_EQ(events.size(), 2u);
  server().Run({"XTRIM", "orders", "MAXLEN", "0"});
  gateway.source().Extend({events[0].token, events[1].token});
  gateway.Settle(events[0]);
  // One that is released then is gone.
  gateway.Settle(events[1], Settled::kReleased);
  EXPECT_TRUE(AwaitBacklog(gateway, 0)) << gateway.sink().backlog().value;
  EXPECT_TRUE(base::Eventually([&] { return server().Pending("orders", kGroup) == 0; }));
  EXPECT_TRUE(base::Eventually([&] { return gateway.sink().lost() == 1; })) << gateway.sink().lost();
  Publish(1);
  EXPECT_EQ(gateway.Await(3).size(), 3u);
}

TEST_F(RedisSourceTest, CountsALagThatTheServerDoesNotKnow) {
  Publish(5);
  const std::string deleted = server().Add("orders", {{"data", "deleted"}});
  Publish(2);
  Take("dead", 1);
  server().Run({"XDEL", "orders", deleted});
  ASSERT_TRUE(server().GroupInfo("orders", kGroup, "lag").is_nil()) << "this server knows it";
  TestGateway gateway(rig_.factory(), rig_.Trigger(), 0);
  EXPECT_TRUE(AwaitBacklog(gateway, 7)) << gateway.sink().backlog().value;
  // Where scripts are not allowed it is unknown, which is not zero.
  server().Run({"ACL", "SETUSER", "ada", "-eval"});
  TestGateway other(rig_.factory(), rig_.Trigger(), 0);
  ASSERT_TRUE(other.AwaitHealthy()) << other.Said();
  EXPECT_FALSE(base::Eventually([&] { return other.sink().backlog().kind == Backlog::Kind::kValue; },
                                std::chrono::seconds(2)));
}

TEST_F(RedisSourceTest, MakesADeletedGroupAnewFromWhereItWas) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  Publish(4);
  ASSERT_EQ(gateway.Await(4).size(), 4u);
  const std::vector<SourceEvent> events = gateway.Await(4);
  gateway.Settle(events[0]);
  gateway.Settle(events[1]);
  gateway.Settle(events[3]);
  ASSERT_TRUE(AwaitBacklog(gateway, 1));
  server().Run({"XGROUP", "DESTROY", "orders", kGroup});
  Publish(2);
  // The one that runs does not come to the same gateway again, and one that is done may.
  ASSERT_TRUE(base::Eventually([&] { return Bodies(gateway.Await(0)).contains("5"); }, TestGateway::kWithin))
      << gateway.Said();
  for (const SourceEvent& event : gateway.From(4)) {
    EXPECT_NE(event.body, "0");
    EXPECT_NE(event.body, "1");
    EXPECT_NE(event.body, "2");
    gateway.Settle(event);
  }
  gateway.Settle(events[2]);
  EXPECT_TRUE(AwaitBacklog(gateway, 0)) << gateway.sink().backlog().value;
  EXPECT_TRUE(base::Eventually([&] { return server().Pending("orders", kGroup) == 0; }));
}

TEST_F(RedisSourceTest, SaysThatItsStreamIsGoneAndReadsTheNextOfThatNameFromItsBeginning) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  Publish(2);
  ASSERT_EQ(gateway.Await(2).size(), 2u);
  for (const SourceEvent& event : gateway.Await(2)) gateway.Settle(event);
  ASSERT_TRUE(AwaitBacklog(gateway, 0));
  server().Run({"FLUSHALL"});
  ASSERT_TRUE(gateway.AwaitComplaint("stream orders: ERR no such key")) << gateway.Said();
  EXPECT_NE(gateway.sink().backlog().kind, Backlog::Kind::kValue);
  server().Run({"XADD", "orders", "1-1", "data", "old id"});
  ASSERT_EQ(gateway.Await(3).size(), 3u) << gateway.Said();
  EXPECT_EQ(gateway.From(2)[0].body, "old id");
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

TEST_F(RedisSourceTest, ReadsAnotherStreamOfTheSameNameThatItHasNotSeenMissing) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  Publish(1);
  ASSERT_EQ(gateway.Await(1).size(), 1u);
  gateway.Settle(gateway.Await(1)[0]);
  ASSERT_TRUE(AwaitBacklog(gateway, 0));
  server().Run({"EVAL",
                "redis.call('DEL', KEYS[1]); return redis.call('XADD', KEYS[1], '1-1', 'data', 'another')",
                "1", "orders"});
  ASSERT_EQ(gateway.Await(2).size(), 2u) << gateway.Said();
  EXPECT_EQ(gateway.From(1)[0].body, "another");
}

TEST_F(RedisSourceTest, SaysThatAKeyIsNoStream) {
  server().Run({"SET", "text", "x"});
  TestGateway gateway(rig_.factory(), rig_.TriggerOf({"text"}));
  EXPECT_TRUE(gateway.AwaitComplaint("stream text: WRONGTYPE")) << gateway.Said();
  server().Run({"DEL", "text"});
  server().Add("text", {{"data", "x"}});
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

TEST_F(RedisSourceTest, SaysWhichPermissionIsMissing) {
  server().Run({"ACL", "SETUSER", "bob", "on", ">pa55word", "~orders", "+@stream", "-xreadgroup"});
  v1::EventTrigger trigger = rig_.Trigger();
  SetUser(trigger, "bob", "pa55word");
  TestGateway gateway(rig_.factory(), trigger);
  ASSERT_TRUE(gateway.AwaitComplaint("NOPERM this user has no permissions to run the 'xreadgroup' command"))
      << gateway.Said();
  // As the advice has it.
  server().Run({"ACL", "SETUSER", "bob", "reset", "on", ">pa55word", "~orders", "+@stream", "+ping",
                "+select", "+client", "+eval"});
  ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  Publish(1);
  EXPECT_EQ(gateway.Await(1).size(), 1u);
  server().Run({"ACL", "SETUSER", "bob", "-xack"});
  gateway.Settle(gateway.Await(1)[0]);
  ASSERT_TRUE(gateway.AwaitComplaint("'xack' command")) << gateway.Said();
  server().Run({"ACL", "SETUSER", "bob", "+xack"});
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  EXPECT_TRUE(base::Eventually([&] { return server().Pending("orders", kGroup) == 0; }, TestGateway::kWithin))
      << "what could not be acknowledged is, later";
  EXPECT_EQ(gateway.count(), 1u);
}

TEST_F(RedisSourceTest, NoticesThatItsCredentialsAreRevokedAndRestored) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  ASSERT_TRUE(gateway.AwaitHealthy());
  server().Run({"ACL", "DELUSER", "ada"});
  ASSERT_TRUE(gateway.AwaitComplaint("WRONGPASS")) << gateway.Said();
  server().Run({"ACL", "SETUSER", "ada", "on", ">pa55word", "~*", "&*", "+@all"});
  ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  Publish(1);
  EXPECT_EQ(gateway.Await(1).size(), 1u);
}

TEST_F(RedisSourceTest, SaysThatTheServerIsAReplicaUntilItIsAPrimary) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  Publish(1);
  ASSERT_EQ(gateway.Await(1).size(), 1u);
  server().Run({"REPLICAOF", "127.0.0.1", "1"});
  gateway.Settle(gateway.Await(1)[0]);
  ASSERT_TRUE(gateway.AwaitComplaint("READONLY")) << gateway.Said();
  EXPECT_NE(gateway.sink().backlog().kind, Backlog::Kind::kValue);
  server().Run({"REPLICAOF", "NO", "ONE"});
  ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  EXPECT_TRUE(
      base::Eventually([&] { return server().Pending("orders", kGroup) == 0; }, TestGateway::kWithin));
  EXPECT_EQ(gateway.count(), 1u);
}

TEST_F(RedisSourceTest, SaysThatTheServerTakesNoWritesUntilItDoes) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  Publish(1);
  ASSERT_EQ(gateway.Await(1).size(), 1u);
  // A folder stands where the server would put its snapshot.
  std::filesystem::create_directories(server().process().folder() + "/dump.rdb");
  server().Run({"CONFIG", "SET", "save", "3600 1"});
  server().Run({"BGSAVE"});
  ASSERT_TRUE(base::Eventually([&] { return server().Ask({"XADD", "other", "*", "a", "b"}).is_error(); },
                               TestGateway::kWithin));
  gateway.Settle(gateway.Await(1)[0]);
  ASSERT_TRUE(gateway.AwaitComplaint("MISCONF")) << gateway.Said();
  server().Run({"CONFIG", "SET", "stop-writes-on-bgsave-error", "no"});
  ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  EXPECT_TRUE(
      base::Eventually([&] { return server().Pending("orders", kGroup) == 0; }, TestGateway::kWithin));
}

TEST_F(RedisSourceTest, SaysThatTheServerHasNoMemoryForAGroup) {
  server().Run({"CONFIG", "SET", "maxmemory", "100kb"});
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_redis()->set_group("another");
  TestGateway gateway(rig_.factory(), trigger);
  ASSERT_TRUE(gateway.AwaitComplaint("OOM command not allowed")) << gateway.Said();
  server().Run({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

TEST_F(RedisSourceTest, FindsAFrozenServerOut) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  ASSERT_TRUE(gateway.AwaitHealthy());
  server().process().Freeze();
  EXPECT_TRUE(base::Eventually([&] { return !gateway.Healthy(); }, std::chrono::seconds(45)))
      << gateway.Said();
  server().process().Thaw();
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

TEST_F(RedisSourceTest, GoesOnWhenItsConnectionsAreClosed) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  ASSERT_TRUE(gateway.AwaitHealthy());
  for (int round = 1; round <= 3; ++round) {
    server().Run({"CLIENT", "KILL", "USER", "ada"});
    Publish(1);
    ASSERT_EQ(gateway.Await(static_cast<std::size_t>(round)).size(), static_cast<std::size_t>(round));
  }
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

TEST_F(RedisSourceTest, SharesAConnectionAmongTriggersOfOneServer) {
  std::vector<std::unique_ptr<TestGateway>> gateways;
  for (int n = 0; n < 20; ++n) {
    v1::EventTrigger trigger = rig_.Trigger();
    trigger.mutable_redis()->set_group(absl::StrCat("g", n));
    gateways.push_back(std::make_unique<TestGateway>(rig_.factory(), trigger));
  }
  for (const auto& gateway : gateways) ASSERT_TRUE(gateway->AwaitHealthy()) << gateway->Said();
  Publish(1);
  for (const auto& gateway : gateways) EXPECT_EQ(gateway->Await(1).size(), 1u);
  const std::string clients = server().Run({"INFO", "clients"}).text;
  EXPECT_THAT(clients, HasSubstr("connected_clients:22\r")) << "one each, the shared one, and the test's own";
}

TEST_F(RedisSourceTest, LeavesNoConsumerBehindThatHasNothing) {
  {
    TestGateway gateway(rig_.factory(), rig_.Trigger());
    Publish(2);
    ASSERT_EQ(gateway.Await(2).size(), 2u);
    EXPECT_EQ(Consumers().size(), 1u);
    for (const SourceEvent& event : gateway.Await(2)) gateway.Settle(event);
    gateway.Stop();
  }
  EXPECT_EQ(Consumers().size(), 0u);
}

TEST_F(RedisSourceTest, DeletesDeadConsumersOnceTheyHaveNothingAndNoneOfOthers) {
  Publish(1);
  Take("mayfly-dead", 1);
  server().Run({"XGROUP", "CREATECONSUMER", "orders", kGroup, "mayfly-idle"});
  server().Run({"XGROUP", "CREATECONSUMER", "orders", kGroup, "somebody"});
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_redis()->set_claim_idle_ms(200);
  TestGateway gateway(rig_.factory(), trigger, 0);
  ASSERT_TRUE(base::Eventually([&] { return !Consumers().contains("mayfly-idle"); }, TestGateway::kWithin));
  EXPECT_TRUE(Consumers().contains("mayfly-dead")) << "it has an entry";
  EXPECT_TRUE(Consumers().contains("somebody"));
  gateway.source().Grant(10);
  ASSERT_EQ(gateway.Await(1).size(), 1u);
  EXPECT_TRUE(base::Eventually([&] { return !Consumers().contains("mayfly-dead"); }, TestGateway::kWithin));
  EXPECT_TRUE(Consumers().contains("somebody"));
}

TEST_F(RedisSourceTest, ReadsOfItsDatabase) {
  server().Run(
      {"EVAL", "redis.call('SELECT', 3); return redis.call('XADD', 'orders', '*', 'data', 'third')", "0"});
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_redis()->set_database(3);
  EXPECT_EQ(FirstEvent(rig_.factory(), trigger).body, "third");
  trigger.mutable_redis()->set_database(99);
  TestGateway gateway(rig_.factory(), trigger);
  EXPECT_TRUE(gateway.AwaitComplaint("DB index is out of range")) << gateway.Said();
}

TEST_F(RedisSourceTest, RefusesCredentialsThatCannotBe) {
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.clear_secret();
  (*trigger.mutable_secret())["ca.crt"] = "no certificate";
  SourceContext context;
  const base::RealClock clock;
  context.clock = &clock;
  context.key = {"default/f", "orders"};
  EXPECT_THAT(std::string(rig_.factory().Make(trigger, context).status().message()),
              HasSubstr("Secret login: ca.crt has no certificate in PEM"));
}

TEST_F(RedisSourceTest, SaysThatTheServerDoesNotSpeakTls) {
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_redis()->set_tls(true);
  TestGateway gateway(rig_.factory(), trigger);
  EXPECT_TRUE(gateway.AwaitComplaint("the server may not speak TLS")) << gateway.Said();
}

}  // namespace
}  // namespace mayfly::gateway
