// Webhooks of a running `mayfly up`: each kind posted as its service would, what is refused, what comes again, secrets that
// replace others, and a kill.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <csignal>
#include <ctime>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "gateway/sources/webhook/mac.h"
#include "tests/integration/kept_events.h"
#include "tests/integration/running_mayfly.h"

namespace mayfly {
namespace {

using base::Eventually;
using base::TempDir;
using gateway::HmacSha256;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RunMayfly;
using testing::RunningMayfly;
namespace fs = std::filesystem;
using Json = nlohmann::json;
constexpr std::chrono::seconds kLong{30};

class CliWebhooksTest : public testing::KeptEventsTest {
 protected:
  void Write(const std::string& name, const std::string& text) {
    fs::create_directories(temp_ / "f");
    base::WriteFile(temp_ / absl::StrCat("f/", name, ".yaml"), text);
  }
  void Secret(const std::string& lines) {
    Write(
        "secret",
        absl::StrCat("apiVersion: v1\nkind: Secret\nmetadata: {name: hooks}\nstringData:\n  secret: |\n    ",
                     lines, "\n"));
  }
  void Module(const std::string& module, const std::string& as) {
    fs::create_directories(temp_ / "f");
    fs::copy_file(fs::path(MAYFLY_TEST_MODULE_DIR) / (module + ".so"), temp_ / absl::StrCat("f/", as, ".so"),
                  fs::copy_options::overwrite_existing);
  }
  // A function `f` with these triggers.
  void Function(const std::string& triggers, const std::string& spec = "") {
    Write("f", absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: f}\nspec:\n"
                            "  artifact: {path: f.so}\n  limits: {maxRequestBytes: 64Ki}\n",
                            spec, "  triggers:\n", triggers));
  }
  static httplib::Result Post(const RunningMayfly& up, const std::string& path,
                              const httplib::Headers& headers, const std::string& body,
                              const std::string& type = "application/json") {
    httplib::Client client(up.url());
    return client.Post(path.c_str(), headers, body, type.c_str());
  }
  static int StatusOf(const httplib::Result& result) { return result ? result->status : -1; }
  static httplib::Headers GitHub(const std::string& secret, const std::string& id, const std::string& body,
                                 const std::string& event = "push") {
    return {
        {"X-GitHub-Event", event},
        {"X-GitHub-Delivery", id},
        {"User-Agent", "GitHub-Hookshot/044aadd"},
        {"X-Hub-Signature-256", absl::StrCat("sha256=", absl::BytesToHexString(HmacSha256(secret, body)))}};
  }
  Json Sum(const std::string& trigger) {
    const Json json = Json::parse(Run({"events", "--json"}));
    for (const Json& of : json["sums"]) {
      if (of["trigger"] == trigger) return of;
    }
    return Json::object();
  }
  bool Logs(const std::string& line) {
    return Eventually([&] { return Run({"logs", "f"}).find(line) != std::string::npos; }, kLong);
  }
};

TEST_F(CliWebhooksTest, TakesWhatEachServiceSendsAsAnEvent) {
  Module("logs_event", "f");
  Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  const std::string key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const std::string with = ", credentials: {secretName: hooks}";
  Function(absl::StrCat(
      "  - {name: github, webhook: {type: GitHub, path: /github", with, "}}\n",
      "  - {name: stripe, webhook: {type: Stripe, path: /stripe", with, "}}\n",
      "  - {name: slack, webhook: {type: Slack, path: /slack", with, "}}\n",
      "  - {name: standard, webhook: {type: StandardWebhooks, path: /standard", with, "}}\n",
      "  - {name: events, webhook: {type: CloudEvents, path: /events}}\n",
      "  - {name: minio, webhook: {type: S3, path: /minio", with, "}}\n",
      "  - {name: bridge, webhook: {type: EventBridge, path: /bridge, tokenHeader: X-Api-Key", with, "}}\n",
      "  - {name: shop, webhook: {type: Generic, path: '/shop/{tenant}', signatureHeader: "
      "X-Shopify-Hmac-Sha256, idHeader: X-Shopify-Webhook-Id",
      with, "}}\n"));
  const auto up = Up();
  const std::string now = std::to_string(std::time(nullptr));

  std::string body =
      R"({"action":"opened","issue":{"number":1347},"repository":{"url":"https://api.github.com/repos/octocat/Hello-World"}})";
  EXPECT_EQ(StatusOf(Post(*up, "/github", GitHub(key, "72d3162e", body, "issues"), body)), 202);
  EXPECT_TRUE(Logs(
      "event com.github.issues.opened https://api.github.com/repos/octocat/Hello-World 1347 72d3162e {"));

  body =
      R"({"id":"evt_1","object":"event","created":1680064028,"type":"invoice.paid","data":{"object":{"id":"in_1"}}})";
  EXPECT_EQ(
      StatusOf(Post(*up, "/stripe",
                    {{"Stripe-Signature",
                      absl::StrCat("t=", now, ",v1=",
                                   absl::BytesToHexString(HmacSha256(key, absl::StrCat(now, ".", body))))}},
                    body)),
      202);
  EXPECT_TRUE(Logs("event com.stripe.invoice.paid https://api.stripe.com in_1 evt_1 {"));

  const auto slack = [&](const std::string& text) {
    return Post(
        *up, "/slack",
        {{"X-Slack-Request-Timestamp", now},
         {"X-Slack-Signature",
          absl::StrCat("v0=", absl::BytesToHexString(HmacSha256(key, absl::StrCat("v0:", now, ":", text))))}},
        text);
  };
  const httplib::Result challenge = slack(R"({"type":"url_verification","challenge":"3eZbrw1a"})");
  ASSERT_TRUE(challenge);
  EXPECT_EQ(challenge->status, 200);
  EXPECT_EQ(challenge->body, "3eZbrw1a");
  EXPECT_EQ(
      StatusOf(slack(
          R"({"type":"event_callback","team_id":"T1","event_id":"Ev1","event_time":1515449522,"event":{"type":"app_mention","channel":"C1"}})")),
      202);
  EXPECT_TRUE(Logs("event com.slack.app_mention https://slack.com/T1 C1 Ev1 {"));

  body = R"({"type":"contact.created","timestamp":"2022-11-03T20:26:10Z","data":{}})";
  std::string raw;
  ASSERT_TRUE(absl::Base64Unescape(key.substr(6), &raw));
  EXPECT_EQ(StatusOf(Post(*up, "/standard",
                          {{"webhook-id", "msg_1"},
                           {"webhook-timestamp", now},
                           {"webhook-signature",
                            absl::StrCat("v1,", absl::Base64Escape(HmacSha256(
                                                    raw, absl::StrCat("msg_1.", now, ".", body))))}},
                          body)),
            202);
  EXPECT_TRUE(Logs("event contact.created /mayfly/triggers/default/f/standard  msg_1 {"));

  EXPECT_EQ(StatusOf(Post(
                *up, "/events",
                {{"ce-specversion", "1.0"}, {"ce-id", "b1"}, {"ce-source", "/s"}, {"ce-type", "t.binary"}},
                "bytes", "text/plain")),
            202);
  EXPECT_TRUE(Logs("event t.binary /s  b1 bytes"));
  EXPECT_EQ(StatusOf(Post(*up, "/events", {},
                          R"({"specversion":"1.0","id":"s1","source":"/s","type":"t.json","data":7})",
                          "application/cloudevents+json")),
            202);
  EXPECT_TRUE(Logs("event t.json /s  s1 7"));
  const httplib::Result batch = Post(
      *up, "/events", {},
      R"([{"specversion":"1.0","id":"1","source":"/b","type":"t"},{"specversion":"1.0","id":"2","source":"/b","type":"t"}])",
      "application/cloudevents-batch+json");
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->body, "{\"accepted\":2}\n");
  EXPECT_TRUE(Logs("event t /b  2"));
  httplib::Client client(up->url());
  const httplib::Result asked = client.Options("/events", {{"WebHook-Request-Origin", "example.com"}});
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->get_header_value("WebHook-Allowed-Origin"), "example.com");
  EXPECT_EQ(asked->get_header_value("WebHook-Allowed-Rate"), "*");

  body =
      R"({"EventName":"s3:ObjectCreated:Put","Key":"photos/a b.jpg","Records":[{"eventSource":"minio:s3","eventName":"s3:ObjectCreated:Put",)"
      R"("s3":{"bucket":{"name":"photos"},"object":{"key":"a+b.jpg","eTag":"1","sequencer":"17A"}}}]})";
  EXPECT_EQ(StatusOf(Post(*up, "/minio", {{"Authorization", absl::StrCat("Bearer ", key)}}, body)), 202);
  EXPECT_TRUE(Logs("event com.amazonaws.s3.ObjectCreated:Put minio:s3.photos a b.jpg "));

  body =
      R"({"version":"0","id":"6a7e8feb","detail-type":"Order Placed","source":"shop","time":"2026-01-01T00:00:00Z","resources":[],"detail":{}})";
  EXPECT_EQ(StatusOf(Post(*up, "/bridge", {{"X-Api-Key", key}}, body)), 202);
  EXPECT_TRUE(Logs("event com.amazonaws.events.Order Placed shop  6a7e8feb {"));

  EXPECT_EQ(StatusOf(Post(*up, "/shop/acme",
                          {{"X-Shopify-Webhook-Id", "w1"},
                           {"X-Shopify-Hmac-Sha256", absl::Base64Escape(HmacSha256(key, "{}"))}},
                          "{}")),
            202);
  EXPECT_TRUE(Logs("event dev.mayfly.webhook /mayfly/triggers/default/f/shop  w1 {}"));
  for (const char* output : {"logs", "get", "events"}) {
    std::vector<std::string> command = {output};
    if (command[0] == "logs") command.emplace_back("f");
    EXPECT_THAT(Run(command), Not(HasSubstr("MfKQ9r8G"))) << output;
  }
  EXPECT_THAT(up->err(), Not(HasSubstr("MfKQ9r8G")));
}

TEST_F(CliWebhooksTest, EachTriggerTakesTheSampleThatMayflyTriggerTestSends) {
  Module("logs_event", "f");
  Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  const std::map<std::string, std::string> triggers = {
      {"github", "type: GitHub"},
      {"stripe", "type: Stripe"},
      {"slack", "type: Slack"},
      {"standard", "type: StandardWebhooks"},
      {"events", "type: CloudEvents"},
      {"minio", "type: S3, tokenHeader: X-Token"},
      {"bridge", "type: EventBridge"},
      {"shop", "type: Generic, signatureHeader: X-Signature, idHeader: X-Id"}};
  std::string all =
      "  - {name: http, http: {path: '/f/{id}'}}\n  - {name: nightly, cron: {schedule: '0 3 * * *'}}\n"
      "  - {name: records, kafka: {brokers: ['127.0.0.1:1'], topics: [orders]}}\n"
      "  - {name: entries, redis: {server: '127.0.0.1:1', streams: [orders]}}\n"
      "  - {name: sns, webhook: {type: SNS, path: /sns, topics: ['arn:aws:sns:us-east-1:123456789012:t']}}\n";
  for (const auto& [name, type] : triggers)
    absl::StrAppend(&all, "  - {name: ", name, ", webhook: {", type, ", path: /hooks/", name,
                    ", credentials: {secretName: hooks}}}\n");
  Function(all);
  const auto up = Up();
  for (const auto& [name, type] : triggers) {
    const testing::Ran ran = RunMayfly(temp_ / "run", {"trigger", "test", absl::StrCat("f/", name)});
    EXPECT_EQ(ran.exit_code, 0) << name << ": " << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(": 202")) << name;
    EXPECT_THAT(ran.out + ran.err, Not(HasSubstr("MfKQ9r8G"))) << name;
    EXPECT_TRUE(Eventually([&, trigger = name] { return Sum(trigger).value("settled", 0) == 1; }, kLong))
        << name;
  }
  EXPECT_EQ(RunMayfly(temp_ / "run", {"trigger", "test", "default/f/http"}).exit_code, 0);
  EXPECT_EQ(RunMayfly(temp_ / "run", {"trigger", "test", "f/nightly", "-n", "2"}).exit_code, 0);
  EXPECT_TRUE(Logs("event dev.mayfly.cron /mayfly/triggers/default/f/nightly"));
  EXPECT_EQ(RunMayfly(temp_ / "run", {"trigger", "test", "f/records"}).exit_code, 0);
  EXPECT_TRUE(Logs("event dev.mayfly.kafka.record /kafka/orders"));
  EXPECT_EQ(RunMayfly(temp_ / "run", {"trigger", "test", "f/entries"}).exit_code, 0);
  EXPECT_TRUE(Logs("event dev.mayfly.redis.entry /redis/orders"));
  EXPECT_THAT(RunMayfly(temp_ / "run", {"trigger", "test", "f/sns"}).err, HasSubstr("signed by Amazon"));
  EXPECT_THAT(RunMayfly(temp_ / "run", {"trigger", "test", "f/none"}).err, HasSubstr("no trigger none"));
  EXPECT_EQ(RunMayfly(temp_ / "run", {"trigger", "test", "f"}).exit_code, 2);
}

TEST_F(CliWebhooksTest, RefusesWhatItCannotBelieveOrUnderstand) {
  Module("logs_event", "f");
  Secret("sesame");
  Function(
      "  - {name: github, webhook: {type: GitHub, path: /github, credentials: {secretName: hooks}}}\n"
      "  - {name: events, webhook: {type: CloudEvents, path: /events}}\n");
  const auto up = Up();
  const std::string body = R"({"ref":"refs/heads/main"})";
  EXPECT_EQ(StatusOf(Post(*up, "/github", GitHub("guess", "1", body), body)), 403);
  EXPECT_EQ(StatusOf(Post(*up, "/github", GitHub("sesame", "1", body), body + " ")), 403);
  const httplib::Result unsigned_one = Post(*up, "/github", {}, body);
  ASSERT_TRUE(unsigned_one);
  EXPECT_EQ(unsigned_one->status, 401);
  EXPECT_THAT(unsigned_one->body, HasSubstr("X-Hub-Signature-256"));
  EXPECT_EQ(StatusOf(Post(*up, "/events", {}, body)), 415);
  EXPECT_EQ(StatusOf(Post(*up, "/events", {}, "{", "application/cloudevents+json")), 400);
  EXPECT_EQ(
      StatusOf(Post(*up, "/events", {{"ce-specversion", "1.0"}}, std::string(65 * 1024, 'x'), "text/plain")),
      413);
  httplib::Client client(up->url());
  EXPECT_EQ(StatusOf(client.Get("/github")), 405);
  EXPECT_EQ(Sum("github").value("accepted", 0), 0);
}

TEST_F(CliWebhooksTest, DropsWhatComesAgainAndSaysThatItHasIt) {
  Module("logs_event", "f");
  Secret("sesame");
  Function("  - {name: github, webhook: {type: GitHub, path: /github, credentials: {secretName: hooks}}}\n");
  const auto up = Up();
  const std::string body = R"({"ref":"refs/heads/main"})";
  for (int n = 0; n < 5; ++n)
    EXPECT_EQ(StatusOf(Post(*up, "/github", GitHub("sesame", "one", body), body)), 202);
  EXPECT_EQ(StatusOf(Post(*up, "/github", GitHub("sesame", "two", body), body)), 202);
  EXPECT_TRUE(Eventually([&] { return Sum("github").value("settled", 0) == 2; }, kLong))
      << Sum("github").dump();
  EXPECT_EQ(Sum("github").value("accepted", 0), 2);
}

TEST_F(CliWebhooksTest, ASecretReplacesAnotherWithoutARefusal) {
  Module("logs_event", "f");
  Secret("old");
  Function("  - {name: github, webhook: {type: GitHub, path: /github, credentials: {secretName: hooks}}}\n");
  const auto up = Up();
  int id = 0;
  const auto status = [&](const std::string& secret) {
    const httplib::Result result = Post(*up, "/github", GitHub(secret, std::to_string(++id), "{}"), "{}");
    if (StatusOf(result) != 202 && StatusOf(result) != 403)
      ADD_FAILURE() << (result ? result->body : "no answer");
    return StatusOf(result);
  };
  EXPECT_EQ(status("old"), 202);
  EXPECT_EQ(status("new"), 403);
  Secret("new\n    old");
  EXPECT_TRUE(Eventually(
      [&] {
        EXPECT_EQ(status("old"), 202) << "the old one counts until it is taken away";
        return status("new") == 202;
      },
      kLong));
  Secret("new");
  EXPECT_TRUE(Eventually(
      [&] {
        EXPECT_EQ(status("new"), 202);
        return status("old") == 403;
      },
      kLong));
}

TEST_F(CliWebhooksTest, DeliversAfterAKillAllThatWasAnsweredWith202) {
  // No module yet: what comes is kept until the function can be called.
  Secret("sesame");
  Function("  - {name: github, webhook: {type: GitHub, path: /github, credentials: {secretName: hooks}}}\n");
  constexpr int kEvents = 50;
  {
    const auto up = Up();
    for (int n = 0; n < kEvents; ++n) {
      const std::string body = absl::StrCat(R"({"n":)", n, "}");
      EXPECT_EQ(StatusOf(Post(*up, "/github", GitHub("sesame", std::to_string(n), body), body)), 202);
    }
    up->Signal(SIGKILL);
    up->Wait();
  }
  Module("logs_event", "f");
  const auto up = Up();
  EXPECT_TRUE(Eventually([&] { return Sum("github").value("settled", 0) == kEvents; }, kLong))
      << Sum("github").dump();
  EXPECT_EQ(Sum("github").value("accepted", 0), kEvents);
  const std::string logs = Run({"logs", "f"});
  for (int n = 0; n < kEvents; ++n)
    EXPECT_TRUE(logs.find(absl::StrCat("github.com  ", n, " {")) != std::string::npos) << n;
  EXPECT_EQ(StatusOf(Post(*up, "/github", GitHub("sesame", "7", R"({"n":7})"), R"({"n":7})")), 202)
      << "what was taken before the kill is known after it";
  EXPECT_TRUE(Eventually([&] { return Sum("github").value("accepted", 0) == kEvents; }, kLong));
}

TEST_F(CliWebhooksTest, TellsOfASecretThatIsNotThereAndOfAPathThatBelongsToAnother) {
  Module("logs_event", "f");
  Module("logs_event", "a");
  Write("a",
        "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: a}\nspec:\n  artifact: {path: "
        "a.so}\n"
        "  triggers: [{name: http, http: {path: /taken}}]\n");
  Write("late",
        "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: late}\nspec:\n  artifact: {path: "
        "a.so}\n"
        "  triggers: [{name: hook, webhook: {type: Generic, path: /taken}}]\n");
  Function(
      "  - {name: github, webhook: {type: GitHub, path: /github, credentials: {secretName: nowhere}}}\n");
  const auto up = Up();
  const auto says = [&](const std::string& function, const std::string& text) {
    return Eventually(
        [&] {
          const Json json = Json::parse(Run({"get", function, "-o", "json"}));
          for (const Json& of : json["status"]["conditions"]) {
            if (of["type"] == "TriggersReady")
              return of["message"].get<std::string>().find(text) != std::string::npos;
          }
          return false;
        },
        kLong);
  };
  EXPECT_TRUE(says("f", "nowhere"));
  EXPECT_TRUE(says("late", "route /taken of trigger hook belongs to function default/a already"));
  const httplib::Result refused = Post(*up, "/github", {}, "{}");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  EXPECT_THAT(refused->body, HasSubstr("TriggersReady"));
  EXPECT_FALSE(refused->get_header_value("Retry-After").empty());
}

}  // namespace
}  // namespace mayfly
