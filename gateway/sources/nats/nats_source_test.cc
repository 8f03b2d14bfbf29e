// The contract of durable sources over NATS JetStream, and what is NATS's own, against a real server.
#include "gateway/sources/nats/nats_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/testing/temp_dir.h"
#include "gateway/sources/nats/nats_delivery.h"
#include "gateway/sources/nats/nats_key.h"
#include "gateway/sources/testing/source_contract.h"
#include "tests/servers/nats_test_server.h"
#include "tls/certificate.h"

namespace mayfly::gateway {
namespace {

using mayfly::testing::NatsTestServer;
using ::testing::HasSubstr;

constexpr char kUsers[] = R"(
authorization { users: [ {user: "ada", password: "pa55word"}, {user: "bob", password: "pa55word",
  permissions: {publish: ["$JS.API.CONSUMER.INFO.>", "$JS.ACK.>"], subscribe: ["_INBOX.>"]}} ] }
)";

v1::EventTrigger TriggerOf(const NatsTestServer& server, const std::string& stream) {
  v1::EventTrigger trigger;
  trigger.set_name("orders");
  trigger.mutable_nats()->add_servers(server.url());
  trigger.mutable_nats()->set_stream(stream);
  trigger.mutable_nats()->set_ack_wait_ms(2'000);
  return trigger;
}

void SetUser(v1::EventTrigger& trigger, const std::string& user, const std::string& password) {
  trigger.set_secret_name("login");
  (*trigger.mutable_secret())["username"] = user;
  (*trigger.mutable_secret())["password"] = password;
}

class NatsRig {
 public:
  static constexpr std::chrono::milliseconds kLease{2'000};
  // It writes down what its consumers have acknowledged some time later, whatever its sync_interval.
  static constexpr std::chrono::milliseconds kForgets{5'000};
  static constexpr bool kOrdered = true;

  NatsRig() : server_(kUsers) {
    server_.SetUser("ada", "pa55word");
    server_.MakeStream("ORDERS", "orders.>");
  }
  SourceFactory& factory() { return *factory_; }
  v1::EventTrigger Trigger() {
    v1::EventTrigger trigger = TriggerOf(server_, "ORDERS");
    SetUser(trigger, "ada", "pa55word");
    return trigger;
  }
  void Publish(const std::string& lane, const std::string& body) { server_.Publish("orders." + lane, body); }
  void KillServer() { server_.process().Kill(); }
  void StopServer() { server_.process().Stop(); }
  void StartServer() {
    const absl::Status started = server_.process().Start();
    EXPECT_TRUE(started.ok()) << started;
  }
  v1::EventTrigger Unwelcome() {
    v1::EventTrigger trigger = TriggerOf(server_, "ORDERS");
    SetUser(trigger, "ada", "wrong pa55word");
    return trigger;
  }
  std::string refusal() { return "Authorization Violation"; }
  v1::EventTrigger Absent() {
    v1::EventTrigger trigger = TriggerOf(server_, "PAYMENTS");
    SetUser(trigger, "ada", "pa55word");
    return trigger;
  }
  std::string absence() { return "stream PAYMENTS: stream not found (10059)"; }
  void MakeAbsent() { server_.MakeStream("PAYMENTS", "payments.>"); }

  NatsTestServer& server() { return server_; }

 private:
  NatsTestServer server_;
  const std::unique_ptr<SourceFactory> factory_ = MakeNatsFactory();
};

}  // namespace

INSTANTIATE_TYPED_TEST_SUITE_P(Nats, SourceContract, NatsRig);

namespace {

// Beyond the contract.
class NatsSourceTest : public ::testing::Test {
 protected:
  void Send(const std::string& subject, const std::vector<std::pair<std::string, std::string>>& headers,
            const std::string& body) {
    rig_.server().Publish(subject, body, headers);
  }
  SourceEvent First() { return FirstEvent(rig_.factory(), rig_.Trigger()); }
  std::string ConsumerInfo(const std::string& consumer = "mayfly_default_f_orders") {
    return rig_.server().Ask("$JS.API.CONSUMER.INFO.ORDERS." + consumer, "");
  }

  NatsRig rig_;
};

TEST_F(NatsSourceTest, BringsAMessageAsAnEvent) {
  Send("orders.new", {{"Nats-Msg-Id", "o-1"}, {"Content-Type", "text/plain"}, {"X-Shop", "7"}}, "hello");
  const SourceEvent event = First();
  EXPECT_EQ(event.event.id(), "o-1");
  EXPECT_EQ(event.event.source(), "/nats/ORDERS");
  EXPECT_EQ(event.event.type(), "dev.mayfly.nats.message");
  EXPECT_EQ(event.event.subject(), "orders.new");
  EXPECT_EQ(event.event.data_content_type(), "text/plain");
  EXPECT_EQ(event.event.time().substr(0, 2), "20");
  EXPECT_EQ(event.body, "hello");
  EXPECT_EQ(event.lane, "orders.new");
  EXPECT_EQ(AttributeOf(event, "natssequence"), "1");
  EXPECT_THAT(AttributeOf(event, "natsheaders"), HasSubstr(R"("X-Shop":"7")"));
}

TEST_F(NatsSourceTest, BringsACloudEventOfHeaders) {
  Send("orders.new",
       {{"ce-specversion", "1.0"},
        {"ce-id", "e-1"},
        {"ce-source", "/shop"},
        {"ce-type", "order%20placed"},
        {"ce-tenant", "blue"},
        {"ce-datacontenttype", "application/json"}},
       R"({"n":1})");
  const SourceEvent event = First();
  EXPECT_EQ(event.event.id(), "e-1");
  EXPECT_EQ(event.event.source(), "/shop");
  EXPECT_EQ(event.event.type(), "order placed");
  EXPECT_EQ(event.event.data_content_type(), "application/json");
  EXPECT_EQ(event.body, R"({"n":1})");
  EXPECT_EQ(AttributeOf(event, "tenant"), "blue");
  EXPECT_EQ(AttributeOf(event, "natssubject"), "orders.new");
}

TEST_F(NatsSourceTest, BringsACloudEventOfJson) {
  Send("orders.new", {{"Content-Type", "application/cloudevents+json"}},
       R"({"specversion":"1.0","id":"e-2","source":"/shop","type":"t","data":{"n":2}})");
  const SourceEvent event = First();
  EXPECT_EQ(event.event.id(), "e-2");
  EXPECT_EQ(event.body, R"({"n":2})");
}

TEST_F(NatsSourceTest, BringsWhatOnlyClaimsToBeACloudEventAsItIs) {
  Send("orders.new", {{"ce-specversion", "1.0"}, {"ce-id", "e-3"}}, "x");
  const SourceEvent event = First();
  EXPECT_EQ(event.event.type(), "dev.mayfly.nats.message");
  EXPECT_EQ(event.body, "x");
}

TEST_F(NatsSourceTest, TakesOnlyTheSubjectsOfTheTrigger) {
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_nats()->add_subjects("orders.new");
  trigger.mutable_nats()->add_subjects("orders.paid.*");
  TestGateway gateway(rig_.factory(), trigger);
  rig_.Publish("old", "0");
  rig_.Publish("new", "1");
  rig_.Publish("paid.eu", "2");
  ASSERT_EQ(gateway.Await(2).size(), 2u);
  EXPECT_EQ(gateway.Await(2)[1].body, "2");
  // Another choice is taken over by the consumer that is there.
  gateway.Stop();
  trigger.mutable_nats()->clear_subjects();
  trigger.mutable_nats()->add_subjects("orders.old");
  TestGateway other(rig_.factory(), trigger);
  EXPECT_TRUE(other.AwaitHealthy()) << other.Said();
  EXPECT_THAT(ConsumerInfo(), HasSubstr(R"("filter_subject":"orders.old")"));
}

TEST_F(NatsSourceTest, BeginsWhereItIsTold) {
  rig_.Publish("a", "0");
  rig_.Publish("a", "1");
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_nats()->set_consumer("newest");
  trigger.mutable_nats()->set_start_from(v1::NatsTrigger::START_FROM_NEW);
  TestGateway gateway(rig_.factory(), trigger);
  ASSERT_TRUE(gateway.AwaitHealthy());
  rig_.Publish("a", "2");
  ASSERT_EQ(gateway.Await(1).size(), 1u);
  EXPECT_EQ(gateway.Await(1)[0].body, "2");
}

TEST_F(NatsSourceTest, MakesAStreamThatIsToBeMade) {
  v1::EventTrigger trigger = rig_.Absent();
  trigger.mutable_nats()->add_create_stream_subjects("payments.>");
  TestGateway gateway(rig_.factory(), trigger);
  ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  rig_.server().Publish("payments.new", "1");
  EXPECT_EQ(gateway.Await(1).size(), 1u);
}

TEST_F(NatsSourceTest, MakesADeletedConsumerAnewFromWhereItWas) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  rig_.Publish("a", "0");
  rig_.Publish("a", "1");
  ASSERT_EQ(gateway.Await(2).size(), 2u);
  for (const SourceEvent& event : gateway.Await(2)) gateway.Settle(event);
  ASSERT_TRUE(base::Eventually([&] { return gateway.sink().backlog() == Backlog::Of(0); }));
  rig_.server().Ask("$JS.API.CONSUMER.DELETE.ORDERS.mayfly_default_f_orders", "");
  rig_.Publish("a", "2");
  ASSERT_EQ(gateway.Await(3).size(), 3u) << gateway.Said();
  EXPECT_EQ(gateway.From(2)[0].body, "2");
}

TEST_F(NatsSourceTest, RefusesAConsumerThatPushes) {
  const std::string made = rig_.server().Ask(
      "$JS.API.CONSUMER.DURABLE.CREATE.ORDERS.pushy",
      R"({"stream_name":"ORDERS","config":{"durable_name":"pushy","ack_policy":"explicit","deliver_subject":"x"}})");
  EXPECT_THAT(made, ::testing::Not(HasSubstr("\"error\"")));
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_nats()->set_consumer("pushy");
  TestGateway gateway(rig_.factory(), trigger);
  EXPECT_TRUE(gateway.AwaitComplaint("consumer pushy of stream ORDERS pushes to a subject"))
      << gateway.Said();
}

TEST_F(NatsSourceTest, SaysWhichPermissionIsMissing) {
  {
    TestGateway(rig_.factory(), rig_.Trigger()).AwaitHealthy();
  }
  v1::EventTrigger trigger = rig_.Trigger();
  SetUser(trigger, "bob", "pa55word");
  TestGateway gateway(rig_.factory(), trigger);
  EXPECT_TRUE(gateway.AwaitComplaint("Permissions Violation for Publish to")) << gateway.Said();
  EXPECT_TRUE(gateway.AwaitComplaint("CONSUMER.MSG.NEXT.ORDERS")) << gateway.Said();
}

TEST_F(NatsSourceTest, NoticesThatItsCredentialsAreRevokedAndRestored) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  ASSERT_TRUE(gateway.AwaitHealthy());
  rig_.server().Configure(R"(authorization { users: [ {user: "eve", password: "pa55word"} ] })");
  ASSERT_TRUE(gateway.AwaitComplaint("Authorization Violation")) << gateway.Said();
  rig_.server().Configure(kUsers);
  ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  rig_.Publish("a", "0");
  EXPECT_EQ(gateway.Await(1).size(), 1u);
}

TEST_F(NatsSourceTest, SharesAConnectionAmongTriggersOfOneServer) {
  std::vector<std::unique_ptr<TestGateway>> gateways;
  for (int i = 0; i < 20; ++i) {
    v1::EventTrigger trigger = rig_.Trigger();
    trigger.mutable_nats()->set_consumer(absl::StrCat("c", i));
    gateways.push_back(std::make_unique<TestGateway>(rig_.factory(), trigger));
  }
  for (const auto& gateway : gateways) ASSERT_TRUE(gateway->AwaitHealthy()) << gateway->Said();
  rig_.Publish("a", "0");
  for (const auto& gateway : gateways) EXPECT_EQ(gateway->Await(1).size(), 1u);
  EXPECT_LE(rig_.server().Connections(), 2) << "this one, and the test's own";
}

TEST_F(NatsSourceTest, FindsAFrozenServerOut) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  ASSERT_TRUE(gateway.AwaitHealthy());
  rig_.server().process().Freeze();
  EXPECT_TRUE(base::Eventually([&] { return !gateway.Healthy(); }, std::chrono::seconds(45)))
      << gateway.Said();
  rig_.server().process().Thaw();
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

TEST_F(NatsSourceTest, RefusesCredentialsThatCannotBe) {
  SourceContext context;
  const base::RealClock clock;
  context.clock = &clock;
  context.key = {"default/f", "orders"};
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.clear_secret();
  (*trigger.mutable_secret())["nkey-seed"] = "SUxxxx";
  const auto made = rig_.factory().Make(trigger, context);
  EXPECT_THAT(std::string(made.status().message()),
              HasSubstr("Secret login: the NKey seed is not one of a user"));
}

// Of the NATS documentation's example.
constexpr char kSeed[] = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

TEST_F(NatsSourceTest, ComesWithAnNKey) {
  rig_.server().Configure(
      absl::StrCat("authorization { users: [ {user: \"ada\", password: \"pa55word\"}, {nkey: \"",
                   *NatsPublicKeyOf(kSeed), "\"} ] }"));
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.clear_secret();
  (*trigger.mutable_secret())["nkey-seed"] = std::string(kSeed) + "\n";
  TestGateway gateway(rig_.factory(), trigger);
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

// Such a server sends no nonce to sign.
TEST_F(NatsSourceTest, ComesWithAnNKeyToAServerThatAsksForNone) {
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.clear_secret();
  (*trigger.mutable_secret())["nkey-seed"] = kSeed;
  TestGateway gateway(rig_.factory(), trigger);
  ASSERT_TRUE(gateway.AwaitComplaint("Authorization Violation")) << gateway.Said();
  rig_.server().Configure("");
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

// A server that speaks TLS alone, and wants a certificate of its clients.
class NatsTlsTest : public ::testing::Test {
 protected:
  NatsTlsTest() {
    const base::RealClock clock;
    const auto now = clock.WallNow();
    authority_ = tls::MakeAuthority(now, std::chrono::hours(1)).value();
    client_ = tls::Issue(authority_, "gateway", tls::Use::kClient, now, std::chrono::hours(1)).value();
    const auto server =
        tls::Issue(authority_, "localhost", tls::Use::kServer, now, std::chrono::hours(1)).value();
    base::WriteFile(folder_ / "ca.crt", authority_.certificate);
    base::WriteFile(folder_ / "tls.crt", server.certificate);
    base::WriteFile(folder_ / "tls.key", server.key);
    server_ = std::make_unique<NatsTestServer>(
        absl::StrCat("tls { cert_file: \"", folder_ / "tls.crt", "\", key_file: \"", folder_ / "tls.key",
                     "\", ca_file: \"", folder_ / "ca.crt", "\", verify: true }"));
  }
  v1::EventTrigger Trigger(const std::string& host, const std::map<std::string, std::string>& secret) {
    v1::EventTrigger trigger;
    trigger.set_name("orders");
    trigger.mutable_nats()->add_servers(absl::StrCat("tls://", host, ":", server_->process().port()));
    trigger.mutable_nats()->set_stream("ORDERS");
    trigger.mutable_nats()->add_create_stream_subjects("orders.>");
    trigger.set_secret_name("login");
    for (const auto& [key, value] : secret) (*trigger.mutable_secret())[key] = value;
    return trigger;
  }

  base::TempDir folder_;
  tls::KeyPair authority_;
  tls::KeyPair client_;
  std::unique_ptr<NatsTestServer> server_;
  const std::unique_ptr<SourceFactory> factory_ = MakeNatsFactory();
};

TEST_F(NatsTlsTest, ShowsACertificateAndChecksTheServers) {
  const std::map<std::string, std::string> whole = {
      {"ca.crt", authority_.certificate}, {"tls.crt", client_.certificate}, {"tls.key", client_.key}};
  TestGateway gateway(*factory_, Trigger("localhost", whole));
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  TestGateway elsewhere(*factory_, Trigger("127.0.0.1", whole));
  EXPECT_TRUE(elsewhere.AwaitComplaint("")) << "the certificate is of localhost";
  EXPECT_FALSE(elsewhere.Healthy());
}

TEST_F(NatsTlsTest, SaysWhyThereIsNoConnection) {
  const base::RealClock clock;
  const auto other = tls::MakeAuthority(clock.WallNow(), std::chrono::hours(1)).value();
  TestGateway stranger(*factory_, Trigger("localhost", {{"ca.crt", other.certificate},
                                                        {"tls.crt", client_.certificate},
                                                        {"tls.key", client_.key}}));
  EXPECT_TRUE(stranger.AwaitComplaint("unable to get local issuer certificate")) << stranger.Said();
  TestGateway nobody(*factory_, Trigger("localhost", {{"ca.crt", authority_.certificate}}));
  EXPECT_TRUE(nobody.AwaitComplaint("it may want a client's certificate")) << nobody.Said();
}

TEST(NatsKey, HasThePublicKeyOfItsSeed) {
  EXPECT_EQ(*NatsPublicKeyOf("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"),
            "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4");
  EXPECT_FALSE(NatsPublicKeyOf("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VX").ok());
  EXPECT_EQ(*NatsSeedOf("-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n\nIMPORTANT\n"
                        "-----BEGIN USER NKEY SEED-----\nSUX\n------END USER NKEY SEED------\n"),
            "SUX");
}

TEST(NatsDelivery, IsReadFromWhatOldAndNewServersSay) {
  const auto old = ReadDelivery("$JS.ACK.ORDERS.c.2.17.9.1700000000000000000.5");
  ASSERT_TRUE(old);
  EXPECT_EQ(old->stream, "ORDERS");
  EXPECT_EQ(old->deliveries, 2u);
  EXPECT_EQ(old->stream_sequence, 17u);
  EXPECT_EQ(old->pending, 5u);
  const auto current = ReadDelivery("$JS.ACK.hub.abc.ORDERS.c.1.18.10.1700000000000000000.4.r");
  ASSERT_TRUE(current);
  EXPECT_EQ(current->stream, "ORDERS");
  EXPECT_EQ(current->stream_sequence, 18u);
  EXPECT_FALSE(ReadDelivery("$JS.ACK.ORDERS.c.x.17.9.1.5"));
  EXPECT_FALSE(ReadDelivery("_INBOX.x"));
}

}  // namespace
}  // namespace mayfly::gateway
