// The contract of durable sources over Kafka, and what is Kafka's own, against a real broker.
#include "gateway/sources/kafka/kafka_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include "absl/strings/str_cat.h"
#include "base/testing/temp_dir.h"
#include "gateway/sources/testing/source_contract.h"
#include "tests/servers/kafka_test_server.h"
#include "tls/certificate.h"

namespace mayfly::gateway {
namespace {

using mayfly::testing::KafkaTestServer;
using ::testing::HasSubstr;
using ::testing::Not;

// Users come by PLAIN or SCRAM; bob may do nothing.
constexpr char kProperties[] = R"(
listener.security.protocol.map=CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,CLIENT:SASL_PLAINTEXT
listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_ada="pa55word" user_bob="pa55word";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:ada
)";

// One broker for all tests of this program: it takes some seconds to start. Each test has topics of its own.
KafkaTestServer& Server() {
  static KafkaTestServer server(kProperties, {"--add-scram", "SCRAM-SHA-512=[name=ada,password=pa55word]"},
                                {{"security.protocol", "sasl_plaintext"},
                                 {"sasl.mechanism", "PLAIN"},
                                 {"sasl.username", "ada"},
                                 {"sasl.password", "pa55word"}});
  return server;
}

class KafkaRig {
 public:
  static constexpr std::chrono::milliseconds kLease{2'000};
  // A broker that is killed has given what it was told to the kernel.
  static constexpr std::chrono::milliseconds kForgets{0};
  static constexpr bool kOrdered = true;

  KafkaRig() : name_(absl::StrCat("orders-", ++count_)) {
    if (!server().process().running()) StartServer();
    server().MakeTopic(name_);
  }
  SourceFactory& factory() { return *factory_; }
  v1::EventTrigger Trigger(const std::string& topic = "") {
    v1::EventTrigger trigger;
    trigger.set_name(name_);
    trigger.mutable_kafka()->add_brokers(server().broker());
    trigger.mutable_kafka()->add_topics(topic.empty() ? name_ : topic);
    trigger.mutable_kafka()->set_session_timeout_ms(2'000);
    SetUser(trigger, "ada", "pa55word");
    return trigger;
  }
  void Publish(const std::string& lane, const std::string& body) { server().Publish(name_, lane, body); }
  void KillServer() { server().process().Kill(); }
  void StopServer() { server().process().Stop(); }
  void StartServer() { server().Start(); }
  v1::EventTrigger Unwelcome() {
    v1::EventTrigger trigger = Trigger();
    SetUser(trigger, "ada", "wrong pa55word");
    return trigger;
  }
  std::string refusal() { return "Invalid username or password"; }
  v1::EventTrigger Absent() { return Trigger("payments-" + name_); }
  std::string absence() { return absl::StrCat("topic payments-", name_, ": Broker: Unknown topic"); }
  void MakeAbsent() { server().MakeTopic("payments-" + name_); }

  static void SetUser(v1::EventTrigger& trigger, const std::string& user, const std::string& password) {
    trigger.set_secret_name("login");
    (*trigger.mutable_secret())["username"] = user;
    (*trigger.mutable_secret())["password"] = password;
  }
  KafkaTestServer& server() { return Server(); }
  const std::string& topic() const { return name_; }
  std::string group() const { return absl::StrCat("mayfly_default_f_", name_); }

 private:
  static inline int count_ = 0;
  const std::string name_;
  const std::unique_ptr<SourceFactory> factory_ = MakeKafkaFactory();
};

}  // namespace

INSTANTIATE_TYPED_TEST_SUITE_P(Kafka, SourceContract, KafkaRig);

namespace {

// Beyond the contract.
class KafkaSourceTest : public ::testing::Test {
 protected:
  SourceEvent First() { return FirstEvent(rig_.factory(), rig_.Trigger()); }
  std::int64_t Committed(int partition = 0) {
    return rig_.server().Committed(rig_.group(), rig_.topic(), partition);
  }
  std::set<std::string> Bodies(const std::vector<SourceEvent>& events) {
    std::set<std::string> bodies;
    for (const SourceEvent& event : events) bodies.insert(event.body);
    return bodies;
  }
  bool AwaitBacklog(TestGateway& gateway, std::uint64_t value) {
    return base::Eventually([&] { return gateway.sink().backlog() == Backlog::Of(value); },
                            TestGateway::kWithin);
  }

  KafkaRig rig_;
};

TEST_F(KafkaSourceTest, BringsARecordAsAnEvent) {
  rig_.server().Publish(rig_.topic(), "ada", "hello", {{"Content-Type", "text/plain"}, {"X-Shop", "7"}});
  const SourceEvent event = First();
  EXPECT_THAT(event.event.id(), HasSubstr(rig_.topic() + "/0/0/"));
  EXPECT_EQ(event.event.source(), "/kafka/" + rig_.topic());
  EXPECT_EQ(event.event.type(), "dev.mayfly.kafka.record");
  EXPECT_EQ(event.event.subject(), "ada");
  EXPECT_EQ(event.event.data_content_type(), "text/plain");
  EXPECT_EQ(event.event.time().substr(0, 2), "20");
  EXPECT_EQ(event.body, "hello");
  EXPECT_EQ(event.lane, rig_.topic() + "/0/ada");
  EXPECT_EQ(AttributeOf(event, "kafkatopic"), rig_.topic());
  EXPECT_EQ(AttributeOf(event, "kafkapartition"), "0");
  EXPECT_EQ(AttributeOf(event, "kafkaoffset"), "0");
  EXPECT_EQ(AttributeOf(event, "partitionkey"), "ada");
  EXPECT_THAT(AttributeOf(event, "kafkaheaders"), HasSubstr(R"("X-Shop":"7")"));
}

TEST_F(KafkaSourceTest, BringsARecordWithoutAKeyInNoLane) {
  rig_.server().PublishKeyless(rig_.topic(), "hello");
  const SourceEvent event = First();
  EXPECT_EQ(event.lane, "");
  EXPECT_EQ(event.event.subject(), "");
  EXPECT_EQ(event.body, "hello");
}

TEST_F(KafkaSourceTest, BringsACloudEventOfHeaders) {
  rig_.server().Publish(rig_.topic(), "k", R"({"n":1})",
                        {{"ce_specversion", "1.0"},
                         {"ce_id", "e-1"},
                         {"ce_source", "/shop"},
                         {"ce_type", "order%20placed"},
                         {"ce_tenant", "blue"},
                         {"content-type", "application/json"}});
  const SourceEvent event = First();
  EXPECT_EQ(event.event.id(), "e-1");
  EXPECT_EQ(event.event.source(), "/shop");
  EXPECT_EQ(event.event.type(), "order%20placed") << "nothing is escaped";
  EXPECT_EQ(event.event.data_content_type(), "application/json");
  EXPECT_EQ(event.body, R"({"n":1})");
  EXPECT_EQ(AttributeOf(event, "tenant"), "blue");
  EXPECT_EQ(AttributeOf(event, "kafkaoffset"), "0");
}

TEST_F(KafkaSourceTest, BringsACloudEventOfJson) {
  rig_.server().Publish(rig_.topic(), "k",
                        R"({"specversion":"1.0","id":"e-2","source":"/shop","type":"t","data":{"n":2}})",
                        {{"content-type", "application/cloudevents+json; charset=UTF-8"}});
  const SourceEvent event = First();
  EXPECT_EQ(event.event.id(), "e-2");
  EXPECT_EQ(event.body, R"({"n":2})");
}

TEST_F(KafkaSourceTest, BringsWhatOnlyClaimsToBeACloudEventAsItIs) {
  rig_.server().Publish(rig_.topic(), "k", "x", {{"ce_specversion", "1.0"}, {"ce_id", "e-3"}});
  const SourceEvent event = First();
  EXPECT_EQ(event.event.type(), "dev.mayfly.kafka.record");
  EXPECT_EQ(event.body, "x");
}

TEST_F(KafkaSourceTest, BeginsWithWhatComesIfItIsToldTo) {
  rig_.Publish("k", "0");
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_kafka()->set_start_from(v1::KafkaTrigger::START_FROM_LATEST);
  {
    TestGateway gateway(rig_.factory(), trigger);
    ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
    ASSERT_TRUE(base::Eventually([&] { return Committed() == 1; }, TestGateway::kWithin))
        << "where it began is written down at once";
    gateway.Stop();
  }
  // What came while nobody listened, and to a partition that is new.
  rig_.Publish("k", "1");
  rig_.server().AddPartitions(rig_.topic(), 2);
  rig_.server().Publish(rig_.topic(), "k", "2", {}, 1);
  TestGateway gateway(rig_.factory(), trigger);
  ASSERT_EQ(gateway.Await(2).size(), 2u) << gateway.Said();
  EXPECT_THAT(Bodies(gateway.Await(2)), ::testing::ElementsAre("1", "2"));
}

TEST_F(KafkaSourceTest, CommitsTheLowestOffsetAndBringsNothingTwiceThatIsDoneBeyondIt) {
  for (int i = 0; i < 6; ++i) rig_.Publish("k", absl::StrCat(i));
  {
    TestGateway gateway(rig_.factory(), rig_.Trigger());
    const std::vector<SourceEvent> events = gateway.Await(6);
    ASSERT_EQ(events.size(), 6u);
    for (const int i : {0, 2, 3, 5}) gateway.Settle(events[static_cast<std::size_t>(i)]);
    ASSERT_TRUE(AwaitBacklog(gateway, 2));
    gateway.Stop();
  }
  EXPECT_EQ(Committed(), 1);
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  ASSERT_EQ(gateway.Await(2).size(), 2u);
  EXPECT_FALSE(base::Eventually([&] { return gateway.count() > 2; }, std::chrono::milliseconds(500)));
  EXPECT_THAT(Bodies(gateway.Await(2)), ::testing::ElementsAre("1", "4"));
  for (const SourceEvent& event : gateway.Await(2)) gateway.Settle(event);
  EXPECT_TRUE(base::Eventually([&] { return Committed() == 6; }, TestGateway::kWithin));
}

TEST_F(KafkaSourceTest, GivesPartitionsToAnotherGatewayOnceWhatRunsIsDone) {
  rig_.server().AddPartitions(rig_.topic(), 4);
  TestGateway first(rig_.factory(), rig_.Trigger());
  for (int i = 0; i < 40; ++i) rig_.server().Publish(rig_.topic(), "k", absl::StrCat(i), {}, i % 4);
  const std::vector<SourceEvent> events = first.Await(40);
  ASSERT_EQ(events.size(), 40u) << first.Said();
  TestGateway second(rig_.factory(), rig_.Trigger());
  // The engine is asked to let go of two partitions' events; those that run go on.
  ASSERT_TRUE(base::Eventually([&] { return first.sink().revoked().size() == 20; }, TestGateway::kWithin))
      << first.sink().revoked().size();
  EXPECT_EQ(second.count(), 0u) << "they are still the first gateway's";
  for (const SourceEvent& event : events) first.Settle(event);
  ASSERT_TRUE(second.AwaitHealthy()) << second.Said();
  for (int i = 40; i < 80; ++i) rig_.server().Publish(rig_.topic(), "k", absl::StrCat(i), {}, i % 4);
  EXPECT_TRUE(base::Eventually([&] { return first.count() + second.count() == 80; }, TestGateway::kWithin))
      << first.count() << " and " << second.count();
  EXPECT_EQ(second.count(), 20u) << "each has its two partitions, and nothing came twice";
  // Each tells the whole backlog, whoever has the partition.
  EXPECT_TRUE(AwaitBacklog(first, 40)) << first.sink().backlog().value;
  EXPECT_TRUE(AwaitBacklog(second, 40)) << second.sink().backlog().value;
}

TEST_F(KafkaSourceTest, TakesOverWhatAnotherGatewayHasReleased) {
  rig_.server().AddPartitions(rig_.topic(), 2);
  TestGateway first(rig_.factory(), rig_.Trigger());
  for (int i = 0; i < 20; ++i) rig_.server().Publish(rig_.topic(), "k", absl::StrCat(i), {}, i % 2);
  const std::vector<SourceEvent> events = first.Await(20);
  ASSERT_EQ(events.size(), 20u);
  TestGateway second(rig_.factory(), rig_.Trigger());
  ASSERT_TRUE(base::Eventually([&] { return first.sink().revoked().size() == 10; }, TestGateway::kWithin));
  // None of them had started.
  for (const EventToken token : first.sink().revoked())
    first.source().Settle({{.token = token, .how = Settled::kReleased, .why = {}}});
  EXPECT_EQ(second.Await(10).size(), 10u);
  EXPECT_EQ(first.count(), 20u);
}

TEST_F(KafkaSourceTest, ReadsNothingOfATransactionThatIsGivenUpAndCountsNoneOfItsMarks) {
  rig_.server().PublishTogether(rig_.topic(), {"0", "1"}, false);
  rig_.server().PublishTogether(rig_.topic(), {"2", "3"}, true);
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  ASSERT_EQ(gateway.Await(2).size(), 2u) << gateway.Said();
  EXPECT_THAT(Bodies(gateway.Await(2)), ::testing::ElementsAre("2", "3"));
  for (const SourceEvent& event : gateway.Await(2)) gateway.Settle(event);
  EXPECT_TRUE(AwaitBacklog(gateway, 0)) << gateway.sink().backlog().value;
  // Two messages and a mark each.
  EXPECT_TRUE(base::Eventually([&] { return Committed() == 6; }, TestGateway::kWithin)) << Committed();
}

TEST_F(KafkaSourceTest, ReadsATopicThatIsMadeAnewFromItsBeginning) {
  for (int i = 0; i < 5; ++i) rig_.Publish("k", absl::StrCat("old", i));
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  ASSERT_EQ(gateway.Await(5).size(), 5u);
  for (const SourceEvent& event : gateway.Await(5)) gateway.Settle(event);
  ASSERT_TRUE(AwaitBacklog(gateway, 0));
  rig_.server().DeleteTopic(rig_.topic());
  ASSERT_TRUE(gateway.AwaitComplaint("Unknown topic")) << gateway.Said();
  rig_.server().MakeTopic(rig_.topic());
  for (int i = 0; i < 3; ++i) rig_.Publish("k", absl::StrCat("new", i));
  ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  ASSERT_EQ(gateway.Await(8).size(), 8u) << gateway.Said();
  EXPECT_EQ(gateway.From(5)[0].body, "new0");
  EXPECT_NE(gateway.From(5)[0].event.id(), gateway.Await(8)[0].event.id());
}

TEST_F(KafkaSourceTest, SaysWhichPermissionIsMissing) {
  v1::EventTrigger trigger = rig_.Trigger();
  KafkaRig::SetUser(trigger, "bob", "pa55word");
  TestGateway gateway(rig_.factory(), trigger);
  EXPECT_TRUE(gateway.AwaitComplaint("uthorization failed")) << gateway.Said();
}

TEST_F(KafkaSourceTest, ComesByEachMechanism) {
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_kafka()->set_mechanism(v1::KafkaTrigger::PLAIN);
  TestGateway plain(rig_.factory(), trigger);
  EXPECT_TRUE(plain.AwaitHealthy()) << plain.Said();
  trigger.mutable_kafka()->set_mechanism(v1::KafkaTrigger::SCRAM_SHA_512);
  TestGateway scram(rig_.factory(), trigger);
  if (rd_kafka_version() < 0x020601ff) {
    EXPECT_TRUE(scram.AwaitComplaint("use PLAIN over TLS")) << scram.Said();
  } else {
    EXPECT_TRUE(scram.AwaitHealthy()) << scram.Said();
  }
  trigger.mutable_kafka()->set_mechanism(v1::KafkaTrigger::SCRAM_SHA_256);
  TestGateway unknown(rig_.factory(), trigger);
  EXPECT_TRUE(unknown.AwaitComplaint("SCRAM-SHA-256")) << unknown.Said();
}

TEST_F(KafkaSourceTest, SaysWhatTheBrokerThinksOfItsSettings) {
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.mutable_kafka()->set_session_timeout_ms(100);
  TestGateway gateway(rig_.factory(), trigger);
  EXPECT_TRUE(gateway.AwaitComplaint("session timeout")) << gateway.Said();
}

TEST_F(KafkaSourceTest, FindsAFrozenBrokerOut) {
  TestGateway gateway(rig_.factory(), rig_.Trigger());
  ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  rig_.server().process().Freeze();
  EXPECT_TRUE(base::Eventually([&] { return !gateway.Healthy(); }, std::chrono::seconds(45)))
      << gateway.Said();
  rig_.server().process().Thaw();
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

TEST_F(KafkaSourceTest, RefusesCredentialsThatCannotBe) {
  v1::EventTrigger trigger = rig_.Trigger();
  trigger.clear_secret();
  (*trigger.mutable_secret())["ca.crt"] = "no certificate";
  SourceContext context;
  const base::RealClock clock;
  context.clock = &clock;
  context.key = {"default/f", "orders"};
  RecordingEventSink sink;
  const auto made = rig_.factory().Make(trigger, context);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_THAT(std::string((*made)->Start(sink).message()), HasSubstr("ssl.ca.pem"));
}

// A broker that speaks TLS alone, and wants a certificate of its clients.
TEST(KafkaTls, ShowsACertificateAndChecksTheBrokers) {
  const base::RealClock clock;
  const auto now = clock.WallNow();
  const auto authority = tls::MakeAuthority(now, std::chrono::hours(1)).value();
  const auto other = tls::MakeAuthority(now, std::chrono::hours(1)).value();
  const auto client = tls::Issue(authority, "gateway", tls::Use::kClient, now, std::chrono::hours(1)).value();
  const auto broker =
      tls::Issue(authority, "localhost", tls::Use::kServer, now, std::chrono::hours(1)).value();
  const base::TempDir folder;
  base::WriteFile(folder / "ca.crt", authority.certificate);
  base::WriteFile(folder / "key.pem", broker.key + broker.certificate);
  KafkaTestServer server(
      absl::StrCat("listener.security.protocol.map=CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,CLIENT:SSL\n"
                   "advertised.listeners=BROKER://127.0.0.1:${broker},CLIENT://localhost:${port}\n"
                   "ssl.keystore.type=PEM\nssl.keystore.location=",
                   folder / "key.pem", "\nssl.truststore.type=PEM\nssl.truststore.location=",
                   folder / "ca.crt", "\nssl.client.auth=required\n"),
      {},
      {{"security.protocol", "ssl"},
       {"ssl.ca.pem", authority.certificate},
       {"ssl.certificate.pem", client.certificate},
       {"ssl.key.pem", client.key},
       {"ssl.endpoint.identification.algorithm", "none"}});
  server.MakeTopic("orders");
  const auto factory = MakeKafkaFactory();
  const auto trigger = [&](const std::string& host, const std::map<std::string, std::string>& secret) {
    v1::EventTrigger made;
    made.set_name("orders");
    made.mutable_kafka()->add_brokers(absl::StrCat(host, ":", server.process().port()));
    made.mutable_kafka()->add_topics("orders");
    made.mutable_kafka()->set_tls(true);
    made.set_secret_name("login");
    for (const auto& [key, value] : secret) (*made.mutable_secret())[key] = value;
    return made;
  };
  const std::map<std::string, std::string> whole = {
      {"ca.crt", authority.certificate}, {"tls.crt", client.certificate}, {"tls.key", client.key}};
  TestGateway gateway(*factory, trigger("localhost", whole));
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  server.Publish("orders", "k", "0");
  EXPECT_EQ(gateway.Await(1).size(), 1u);
  TestGateway elsewhere(*factory, trigger("127.0.0.1", whole));
  EXPECT_TRUE(elsewhere.AwaitComplaint("")) << "the certificate is of localhost";
  EXPECT_FALSE(elsewhere.Healthy());
  TestGateway stranger(*factory, trigger("localhost", {{"ca.crt", other.certificate},
                                                       {"tls.crt", client.certificate},
                                                       {"tls.key", client.key}}));
  EXPECT_TRUE(stranger.AwaitComplaint("certificate verif")) << stranger.Said();
  TestGateway nobody(*factory, trigger("localhost", {{"ca.crt", authority.certificate}}));
  EXPECT_TRUE(nobody.AwaitComplaint("")) << nobody.Said();
  EXPECT_FALSE(nobody.Healthy());
}

}  // namespace
}  // namespace mayfly::gateway
