// Redis servers that want something: a password, TLS, the right part of a cluster.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "gateway/sources/redis/redis_source.h"
#include "gateway/sources/testing/source_contract.h"
#include "tests/servers/redis_test_server.h"
#include "tls/certificate.h"

namespace mayfly::gateway {
namespace {

using ::mayfly::testing::RedisTestServer;
using ::testing::HasSubstr;
using ::testing::Not;

void SetUser(v1::EventTrigger& trigger, const std::string& user, const std::string& password) {
  trigger.set_secret_name("login");
  (*trigger.mutable_secret())["username"] = user;
  (*trigger.mutable_secret())["password"] = password;
}

v1::EventTrigger TriggerAt(const std::string& address) {
  v1::EventTrigger trigger;
  trigger.set_name("orders");
  trigger.mutable_redis()->set_server(address);
  trigger.mutable_redis()->add_streams("orders");
  trigger.mutable_redis()->set_claim_idle_ms(200);
  return trigger;
}

TEST(RedisServerTest, ThatWantsAPasswordIsTold) {
  RedisServer login;
  login.username = "default";
  login.password = "pa55word";
  RedisTestServer server("requirepass pa55word\n", {}, login);
  server.Add("orders", {{"data", "0"}});
  const auto factory = MakeRedisFactory();
  TestGateway nobody(*factory, TriggerAt(server.address()));
  EXPECT_TRUE(nobody.AwaitComplaint("NOAUTH Authentication required.")) << nobody.Said();
  EXPECT_THAT(nobody.Said(), HasSubstr("credentials"));
  v1::EventTrigger trigger = TriggerAt(server.address());
  SetUser(trigger, "default", "pa55word");
  TestGateway gateway(*factory, trigger);
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

TEST(RedisServerTest, ThatSaysPasswordsAgainIsNotRepeated) {
  RedisTestServer server("rename-command AUTH \"\"\n");
  const auto factory = MakeRedisFactory();
  v1::EventTrigger trigger = TriggerAt(server.address());
  SetUser(trigger, "ada", "pa55word");
  TestGateway gateway(*factory, trigger);
  ASSERT_TRUE(gateway.AwaitComplaint("unknown command")) << gateway.Said();
  EXPECT_THAT(gateway.Said(), Not(HasSubstr("pa55word")));
}

TEST(RedisServerTest, ThatIsOfAClusterIsTold) {
  RedisTestServer server(
      absl::StrCat("cluster-enabled yes\ncluster-port ", ::mayfly::testing::FreePort(), "\n"));
  const auto factory = MakeRedisFactory();
  TestGateway gateway(*factory, TriggerAt(server.address()));
  EXPECT_TRUE(gateway.AwaitComplaint("CLUSTERDOWN")) << gateway.Said();
  server.Run({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"});
  ASSERT_TRUE(base::Eventually([&] { return !server.Ask({"XADD", "orders", "*", "data", "0"}).is_error(); }));
  server.Add("refunds", {{"data", "0"}});
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said() << ": a server that has all slots is like any other";
  v1::EventTrigger two = TriggerAt(server.address());
  two.mutable_redis()->add_streams("refunds");
  TestGateway both(*factory, two);
  EXPECT_TRUE(both.AwaitComplaint("CROSSSLOT")) << both.Said();
}

// A server that speaks TLS alone, and wants a certificate of its clients.
TEST(RedisTlsTest, ShowsACertificateAndChecksTheServers) {
  const base::RealClock clock;
  const auto now = clock.WallNow();
  const auto authority = tls::MakeAuthority(now, std::chrono::hours(1)).value();
  const auto other = tls::MakeAuthority(now, std::chrono::hours(1)).value();
  const auto client = tls::Issue(authority, "gateway", tls::Use::kClient, now, std::chrono::hours(1)).value();
  const auto own = tls::Issue(authority, "localhost", tls::Use::kServer, now, std::chrono::hours(1)).value();
  const base::TempDir folder;
  base::WriteFile(folder / "ca.crt", authority.certificate);
  base::WriteFile(folder / "tls.crt", own.certificate);
  base::WriteFile(folder / "tls.key", own.key);
  RedisServer login;
  login.host = "localhost";
  login.tls = true;
  login.ca = authority.certificate;
  login.certificate = client.certificate;
  login.key = client.key;
  RedisTestServer server(absl::StrCat("tls-cert-file ", folder / "tls.crt", "\ntls-key-file ",
                                      folder / "tls.key", "\ntls-ca-cert-file ", folder / "ca.crt", "\n"),
                         {"--tls-only"}, login);
  server.Add("orders", {{"data", "0"}});
  const auto factory = MakeRedisFactory();
  const auto trigger = [&](const std::string& host, const std::map<std::string, std::string>& secret) {
    v1::EventTrigger made = TriggerAt(absl::StrCat(host, ":", server.process().port()));
    made.set_secret_name("login");
    for (const auto& [key, value] : secret) (*made.mutable_secret())[key] = value;
    return made;
  };
  const std::map<std::string, std::string> whole = {
      {"ca.crt", authority.certificate}, {"tls.crt", client.certificate}, {"tls.key", client.key}};
  TestGateway gateway(*factory, trigger("localhost", whole));
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  ASSERT_EQ(gateway.Await(1).size(), 1u);
  const std::string large(3 << 20, 'x');
  server.Add("orders", {{"data", large}});
  ASSERT_EQ(gateway.Await(2).size(), 2u);
  EXPECT_EQ(gateway.Await(2)[1].body, large);
  TestGateway elsewhere(*factory, trigger("127.0.0.1", whole));
  EXPECT_TRUE(elsewhere.AwaitComplaint("IP address mismatch")) << elsewhere.Said();
  TestGateway stranger(*factory, trigger("localhost", {{"ca.crt", other.certificate},
                                                       {"tls.crt", client.certificate},
                                                       {"tls.key", client.key}}));
  EXPECT_TRUE(stranger.AwaitComplaint("the server's certificate is not trusted")) << stranger.Said();
  TestGateway nobody(*factory, trigger("localhost", {{"ca.crt", authority.certificate}}));
  EXPECT_TRUE(nobody.AwaitComplaint("certificate required")) << nobody.Said();
  TestGateway plain(*factory, TriggerAt(absl::StrCat("127.0.0.1:", server.process().port())));
  EXPECT_TRUE(plain.AwaitComplaint("it may want TLS")) << plain.Said();
}

}  // namespace
}  // namespace mayfly::gateway
