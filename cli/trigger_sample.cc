#include "cli/trigger_sample.h"

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/try_it.h"
#include "gateway/sources/webhook/mac.h"
#include "gateway/sources/webhook/service_notices.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;
using gateway::HmacSha256;
using v1::WebhookTrigger;

std::string Hex(const std::string& bytes) { return absl::BytesToHexString(bytes); }

// The first line: the one that counts longest.
std::string FirstLine(const std::map<std::string, std::string>& secret) {
  const auto found = secret.find("secret");
  if (found == secret.end()) return "";
  for (const absl::string_view line :
       absl::StrSplit(found->second, absl::ByAnyChar("\r\n"), absl::SkipEmpty()))
    return std::string(line);
  return "";
}

void SignGeneric(const WebhookTrigger& webhook, const std::string& key, TriggerSample* sample) {
  if (key.empty()) return;
  if (!webhook.signature_header().empty()) {
    sample->headers.emplace_back(webhook.signature_header(),
                                 absl::StrCat("sha256=", Hex(HmacSha256(key, sample->body))));
  } else if (!webhook.token_header().empty()) {
    sample->headers.emplace_back(webhook.token_header(), key);
  } else {
    sample->headers.emplace_back("Authorization", absl::StrCat("Bearer ", key));
  }
}

absl::Status FillStandard(const std::string& key, const std::string& time, const std::string& id,
                          TriggerSample* sample) {
  sample->body = Json{{"type", "contact.created"}, {"timestamp", time}, {"data", {{"id", id}}}}.dump();
  std::string bytes;
  if (absl::StartsWith(key, "whpk_") || !absl::Base64Unescape(absl::StripPrefix(key, "whsec_"), &bytes)) {
    return absl::FailedPreconditionError(
        "the Secret has a public key first: only its sender can sign. Put a whsec_ line before it to try the "
        "trigger");
  }
  return absl::OkStatus();
}

absl::Status FillWebhook(const WebhookTrigger& webhook, const std::string& key, std::int64_t now,
                         const std::string& id, TriggerSample* sample) {
  const std::string time = gateway::Rfc3339OfUnix(now);
  const std::string seconds = absl::StrCat(now);
  auto& headers = sample->headers;
  headers.emplace_back("Content-Type", "application/json");
  switch (webhook.service()) {
    case WebhookTrigger::CLOUD_EVENTS:
      headers = {{"Content-Type", "application/json"},  {"ce-specversion", "1.0"},         {"ce-id", id},
                 {"ce-source", "/mayfly/trigger-test"}, {"ce-type", "com.example.sample"}, {"ce-time", time}};
      sample->body = R"({"hello":"world"})";
      break;
    case WebhookTrigger::GITHUB:
      sample->body = Json{{"ref", "refs/heads/main"},
                          {"before", std::string(40, '0')},
                          {"after", std::string(40, '1')},
                          {"repository",
                           {{"id", 1296269},
                            {"full_name", "octocat/Hello-World"},
                            {"url", "https://api.github.com/repos/octocat/Hello-World"}}},
                          {"pusher", {{"name", "octocat"}}},
                          {"commits", Json::array()}}
                         .dump();
      headers.emplace_back("User-Agent", "GitHub-Hookshot/sample");
      headers.emplace_back("X-GitHub-Event", "push");
      headers.emplace_back("X-GitHub-Delivery", id);
      headers.emplace_back("X-Hub-Signature-256",
                           absl::StrCat("sha256=", Hex(HmacSha256(key, sample->body))));
      return absl::OkStatus();
    case WebhookTrigger::STRIPE:
      sample->body = Json{{"id", absl::StrCat("evt_", id)},
                          {"object", "event"},
                          {"api_version", "2024-06-20"},
                          {"created", now},
                          {"type", "invoice.paid"},
                          {"livemode", false},
                          {"data", {{"object", {{"id", "in_sample"}, {"object", "invoice"}}}}}}
                         .dump();
      headers.emplace_back("Stripe-Signature",
                           absl::StrCat("t=", seconds, ",v1=",
                                        Hex(HmacSha256(key, absl::StrCat(seconds, ".", sample->body)))));
      return absl::OkStatus();
    case WebhookTrigger::SLACK:
      sample->body = Json{
          {"type", "event_callback"},
          {"team_id", "T123ABC456"},
          {"api_app_id", "A123ABC456"},
          {"event", {{"type", "app_mention"}, {"channel", "C123ABC456"}, {"text", "hello"}}},
          {"event_id", absl::StrCat("Ev", id)},
          {"event_time",
           now}}.dump();
      headers.emplace_back("X-Slack-Request-Timestamp", seconds);
      headers.emplace_back(
          "X-Slack-Signature",
          absl::StrCat("v0=", Hex(HmacSha256(key, absl::StrCat("v0:", seconds, ":", sample->body)))));
      return absl::OkStatus();
    case WebhookTrigger::STANDARD_WEBHOOKS: {
      if (absl::Status status = FillStandard(key, time, id, sample); !status.ok()) return status;
      std::string bytes;
      absl::Base64Unescape(absl::StripPrefix(key, "whsec_"), &bytes);
      const std::string message = absl::StrCat("msg_", id, ".", seconds, ".", sample->body);
      headers.emplace_back("webhook-id", absl::StrCat("msg_", id));
      headers.emplace_back("webhook-timestamp", seconds);
      headers.emplace_back("webhook-signature",
                           absl::StrCat("v1,", absl::Base64Escape(HmacSha256(bytes, message))));
      return absl::OkStatus();
    }
    case WebhookTrigger::S3:
      sample->body =
          Json{{"Records",
                {{{"eventVersion", "2.1"},
                  {"eventSource", "minio:s3"},
                  {"awsRegion", ""},
                  {"eventTime", time},
                  {"eventName", "ObjectCreated:Put"},
                  {"s3",
                   {{"bucket", {{"name", "photos"}}},
                    {"object",
                     {{"key", "hello+world.jpg"}, {"size", 1024}, {"eTag", id}, {"sequencer", id}}}}}}}}}
              .dump();
      break;
    case WebhookTrigger::EVENT_BRIDGE:
      sample->body = Json{{"version", "0"},
                          {"id", id},
                          {"detail-type", "Order Placed"},
                          {"source", "com.example.shop"},
                          {"account", "123456789012"},
                          {"time", time},
                          {"region", "us-east-1"},
                          {"resources", Json::array()},
                          {"detail", {{"order", 1}}}}
                         .dump();
      break;
    default:
      sample->body = R"({"hello":"world"})";
      if (!webhook.id_header().empty()) headers.emplace_back(webhook.id_header(), id);
      break;
  }
  SignGeneric(webhook, key, sample);
  return absl::OkStatus();
}

// The row of an insert, as the trigger's source makes events of them.
Json RowEvent(const v1::PostgresTrigger& postgres, const std::string& time, const std::string& id) {
  std::string schema = "public";
  std::string table = "orders";
  Json row = {{"id", 1}};
  if (postgres.tables_size() > 0) {
    const std::vector<std::string> parts = absl::StrSplit(postgres.tables(0).name(), absl::MaxSplits('.', 1));
    table = parts.back();
    if (parts.size() == 2) schema = parts.front();
    for (const std::string& column : postgres.tables(0).columns()) row[column] = "sample";
    row["id"] = 1;
  }
  return Json{{"specversion", "1.0"},
              {"id", absl::StrCat("0/1-0/1-", id)},
              {"source", absl::StrCat("/postgres/", postgres.database())},
              {"type", "dev.mayfly.postgres.insert"},
              {"subject", absl::StrCat(schema, ".", table)},
              {"time", time},
              {"data",
               {{"op", "insert"},
                {"schema", schema},
                {"table", table},
                {"key", {{"id", 1}}},
                {"before", nullptr},
                {"after", row},
                {"lsn", "0/1"},
                {"commitLsn", "0/1"},
                {"xid", 1},
                {"commitTime", time}}}};
}

Json SampleFiring(const op::Function& function, const std::string& trigger, const v1::CronTrigger& cron,
                  const std::string& time) {
  return {{"specversion", "1.0"},
          {"id", absl::StrCat(trigger, "@", time, "-sample")},
          {"source", absl::StrCat("/mayfly/triggers/", function.Key(), "/", trigger)},
          {"type", "dev.mayfly.cron"},
          {"time", time},
          {"data", {{"scheduledTime", time}, {"schedule", cron.schedule()}}}};
}

Json SampleRecord(const v1::KafkaTrigger& kafka, const std::string& time, const std::string& id) {
  return {{"specversion", "1.0"},
          {"id", absl::StrCat(kafka.topics(0), "/0/0/sample-", id)},
          {"source", absl::StrCat("/kafka/", kafka.topics(0))},
          {"type", "dev.mayfly.kafka.record"},
          {"subject", "order-1"},
          {"time", time},
          {"datacontenttype", "application/json"},
          {"kafkatopic", kafka.topics(0)},
          {"kafkapartition", "0"},
          {"kafkaoffset", "0"},
          {"partitionkey", "order-1"},
          {"data", {{"order", 1}, {"state", "placed"}}}};
}

Json SampleEntry(const v1::RedisTrigger& redis, const std::string& time, std::int64_t now,
                 const std::string& id) {
  const std::string& stream = redis.streams(0);
  return {{"specversion", "1.0"},
          {"id", absl::StrCat(stream, "/", now * 1000, "-sample-", id)},
          {"source", absl::StrCat("/redis/", stream)},
          {"type", "dev.mayfly.redis.entry"},
          {"subject", stream},
          {"time", time},
          {"datacontenttype", "application/json"},
          {"redisstream", stream},
          {"redisid", absl::StrCat(now * 1000, "-0")},
          {"data", {{"order", "1"}, {"state", "placed"}}}};
}

}  // namespace

absl::StatusOr<TriggerSample> MakeTriggerSample(const op::Function& function, const op::Trigger& trigger,
                                                const std::map<std::string, std::string>& secret,
                                                std::int64_t now, const std::string& id) {
  TriggerSample sample;
  if (trigger.http) {
    sample.path = FillParameters(trigger.http->path);
    sample.host = absl::StartsWith(trigger.http->host, "*")
                      ? absl::StrCat("www", trigger.http->host.substr(1))
                      : trigger.http->host;
    if (!trigger.http->methods.empty()) sample.method = trigger.http->methods.front();
  }
  if (!trigger.event) {
    if (trigger.http->methods.empty()) sample.method = "GET";
    if (sample.method != "GET" && sample.method != "HEAD") sample.body = "hello";
    return sample;
  }
  const v1::EventTrigger& event = trigger.event->message;
  if (event.has_webhook()) {
    if (!event.webhook().topics().empty()) {
      return absl::UnimplementedError(
          "what comes by SNS is signed by Amazon, and nobody else can: publish to the topic, as in aws sns "
          "publish");
    }
    const std::string key = FirstLine(secret);
    if (!event.secret_name().empty() && key.empty()) {
      return absl::FailedPreconditionError(absl::StrCat("there is no Secret ", event.secret_name(),
                                                        " with the key secret to sign a sample with"));
    }
    if (absl::Status status = FillWebhook(event.webhook(), key, now, id, &sample); !status.ok())
      return status;
    return sample;
  }
  if (!event.has_cron() && !event.has_kafka() && !event.has_postgres() && !event.has_redis()) {
    return absl::UnimplementedError(
        "samples are made of http, cron, kafka, postgres, redis and webhook triggers; send one of this kind "
        "to its server");
  }
  // Past the source, as the event that it makes.
  sample.path = absl::StrCat("/_mayfly/functions/", function.Key());
  sample.headers = {{"Content-Type", "application/cloudevents+json"}, {"Prefer", "respond-async"}};
  const std::string time = gateway::Rfc3339OfUnix(now);
  Json body;
  if (event.has_cron()) body = SampleFiring(function, trigger.name, event.cron(), time);
  if (event.has_kafka()) body = SampleRecord(event.kafka(), time, id);
  if (event.has_postgres()) body = RowEvent(event.postgres(), time, id);
  if (event.has_redis()) body = SampleEntry(event.redis(), time, now, id);
  sample.body = body.dump();
  return sample;
}

}  // namespace mayfly::cli
