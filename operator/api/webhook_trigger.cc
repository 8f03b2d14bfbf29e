#include "operator/api/webhook_trigger.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "operator/api/credentials.h"
#include "operator/api/http_trigger.h"
#include "operator/api/spec_bounds.h"

namespace mayfly::op {
namespace {

using v1::WebhookTrigger;

struct Service {
  std::string_view type;
  WebhookTrigger::Service service;
  bool signs;   // all that it sends
  bool by_age;  // what it signs has a timestamp
  bool token;   // it can send one in a header
  bool by_sns;  // it can come by SNS
};
constexpr std::array<Service, 9> kServices = {{
    {"CloudEvents", WebhookTrigger::CLOUD_EVENTS, false, false, true, false},
    {"EventBridge", WebhookTrigger::EVENT_BRIDGE, false, false, true, true},
    {"Generic", WebhookTrigger::GENERIC, false, false, true, false},
    {"GitHub", WebhookTrigger::GITHUB, true, false, false, false},
    {"S3", WebhookTrigger::S3, false, false, true, true},
    {"SNS", WebhookTrigger::SNS, false, false, false, true},
    {"Slack", WebhookTrigger::SLACK, true, true, false, false},
    {"StandardWebhooks", WebhookTrigger::STANDARD_WEBHOOKS, true, true, false, false},
    {"Stripe", WebhookTrigger::STRIPE, true, true, false, false},
}};

bool IsHeaderName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxHeaderName && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
}

bool IsTopicArn(const std::string& text) {
  const auto plain = [](std::string_view part) {
    return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
             c == '_';
    });
  };
  std::vector<std::string_view> parts;
  std::string_view rest = text;
  for (std::size_t at = rest.find(':'); at != std::string_view::npos; at = rest.find(':')) {
    parts.push_back(rest.substr(0, at));
    rest.remove_prefix(at + 1);
  }
  return text.size() <= kMaxTopicArn && parts.size() == 5 && parts[0] == "arn" && parts[2] == "sns" &&
         plain(parts[1]) && plain(parts[3]) && plain(parts[4]) && plain(rest);
}

// Null after a mistake.
const Service* ReadType(FieldReader& reader) {
  std::string type;
  if (!reader.Text("type", type)) {
    if (reader.is_map() && reader.Find("type") == nullptr)
      reader.Wrong("type", "is missing; say whose requests these are, as in type: GitHub");
    return nullptr;
  }
  std::vector<std::string> known;
  for (const Service& service : kServices) {
    if (service.type == type) return &service;
    known.emplace_back(service.type);
  }
  reader.Wrong("type", fmt::format("{} is not known; use one of {}", Quote(type), fmt::join(known, ", ")));
  return nullptr;
}

// In lower case; "" if there is none.
std::string ReadHeader(FieldReader& reader, std::string_view field) {
  std::string name;
  if (!reader.Text(field, name)) return "";
  if (!IsHeaderName(name)) {
    reader.Wrong(field,
                 fmt::format("{} is not the name of a header; use letters, digits and \"-\", as in X-Token",
                             Quote(name)));
    return "";
  }
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return name;
}

void ReadTopics(FieldReader& reader, MistakeList& mistakes, WebhookTrigger* webhook) {
  const std::vector<YamlNode>& items = reader.List("topics", kMaxTopics);
  for (std::size_t n = 0; n < items.size(); n++) {
    const std::string path = fmt::format("{}[{}]", reader.PathOf("topics"), n);
    std::string topic;
    if (!ReadText(items[n], path, mistakes, topic)) continue;
    if (!IsTopicArn(topic)) {
      mistakes.Add(items[n], path,
                   fmt::format("{} is not the ARN of a topic; write it as arn:aws:sns:REGION:ACCOUNT:NAME",
                               Quote(topic)));
    } else if (std::find(webhook->topics().begin(), webhook->topics().end(), topic) !=
               webhook->topics().end()) {
      mistakes.Add(items[n], path, fmt::format("{} is listed twice; keep one", Quote(topic)));
    }
    webhook->add_topics(std::move(topic));
  }
}

// What does not go together.
void CheckTogether(FieldReader& reader, const Service& of, const WebhookTrigger& webhook,
                   const std::string& secret_name) {
  const auto only_for = [&](std::string_view field, const char* what, auto has) {
    std::vector<std::string_view> types;
    for (const Service& service : kServices) {
      if (has(service)) types.push_back(service.type);
    }
    reader.Wrong(field, fmt::format("{}, and type {} has none; leave it out, or use one of {}", what, of.type,
                                    fmt::join(types, ", ")));
  };
  const bool topics = !webhook.topics().empty();
  if (webhook.tolerance_s() > 0 && !of.by_age)
    only_for("tolerance", "is for signatures with a timestamp",
             [](const Service& service) { return service.by_age; });
  if (!webhook.token_header().empty() && !of.token)
    only_for("tokenHeader", "is for a token", [](const Service& service) { return service.token; });
  if (!webhook.signature_header().empty() && of.service != WebhookTrigger::GENERIC)
    reader.Wrong("signatureHeader", fmt::format("is for type Generic; type {} has its own", of.type));
  if (!webhook.id_header().empty() && of.service != WebhookTrigger::GENERIC)
    reader.Wrong("idHeader", fmt::format("is for type Generic; events of type {} have their ids", of.type));
  if (topics && !of.by_sns) {
    only_for("topics", "is for what comes by SNS", [](const Service& service) { return service.by_sns; });
  } else if (!topics && of.service == WebhookTrigger::SNS && reader.is_map()) {
    reader.Wrong("topics",
                 "is missing; name the topics that may send, since anybody can have SNS sign, as in topics: "
                 "[\"arn:aws:sns:us-east-1:123456789012:orders\"]");
  }
  if (of.signs && secret_name.empty() && reader.Find("credentials") == nullptr) {
    reader.Wrong("credentials",
                 fmt::format("is missing; type {} signs its requests: name the Secret that has the signing "
                             "secret under its key secret, as in credentials: {{secretName: orders-webhook}}",
                             of.type));
  }
  if (!secret_name.empty() && (topics || of.service == WebhookTrigger::SNS))
    reader.Wrong("credentials",
                 "is for secrets, and SNS signs with its own certificates; leave credentials out");
  if (!webhook.token_header().empty() && !webhook.signature_header().empty())
    reader.Wrong("tokenHeader", "does not go with signatureHeader; keep the one that the sender sends");
  for (const auto& [field, header] : {std::pair{"tokenHeader", &webhook.token_header()},
                                      std::pair{"signatureHeader", &webhook.signature_header()}}) {
    if (header->empty() || !secret_name.empty() || reader.Find("credentials") != nullptr) continue;
    reader.Wrong(field,
                 "needs a secret to compare with; name it, as in credentials: {secretName: orders-webhook}");
  }
}

}  // namespace

std::string WebhookType(const v1::WebhookTrigger& webhook) {
  for (const Service& service : kServices) {
    if (service.service == webhook.service()) return std::string(service.type);
  }
  return "";
}

void ReadWebhook(const YamlNode& node, const std::string& path, MistakeList& mistakes, Trigger* trigger) {
  FieldReader reader(node, path, mistakes);
  EventTrigger& event = trigger->event.emplace();
  event.message.set_name(trigger->name);
  WebhookTrigger& webhook = *event.message.mutable_webhook();
  const Service* const service = ReadType(reader);
  trigger->http = ReadRoute(reader, mistakes, "/hooks/orders");
  HttpTrigger& route = *trigger->http;
  if (route.methods.empty()) route.methods = {"POST"};
  std::chrono::milliseconds tolerance{0};
  if (reader.Duration("tolerance", kWebhookTolerance, tolerance))
    webhook.set_tolerance_s(static_cast<std::uint32_t>((tolerance.count() + 999) / 1000));
  webhook.set_token_header(ReadHeader(reader, "tokenHeader"));
  webhook.set_signature_header(ReadHeader(reader, "signatureHeader"));
  webhook.set_id_header(ReadHeader(reader, "idHeader"));
  ReadTopics(reader, mistakes, &webhook);
  event.message.set_secret_name(ReadCredentials(reader, mistakes));
  if (service != nullptr) {
    webhook.set_service(service->service);
    // Senders of CloudEvents ask first whether they may.
    if (service->service == WebhookTrigger::CLOUD_EVENTS &&
        std::find(route.methods.begin(), route.methods.end(), "OPTIONS") == route.methods.end()) {
      route.methods.emplace_back("OPTIONS");
    }
    CheckTogether(reader, *service, webhook, event.message.secret_name());
  }
  reader.Finish();
}

}  // namespace mayfly::op
