#include "gateway/sources/webhook/service_notices.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/time/time.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "gateway/sources/bounded_json.h"
#include "gateway/sources/text.h"

namespace mayfly::gateway {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostAttribute = 1'024;

absl::Status Bad(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

std::string Attribute(std::string_view text) {
  return std::string(base::CutUtf8(base::CleanUtf8(text), kMostAttribute));
}

bool IsForm(const WebhookRequest& request) {
  return StartsWithIgnoreCase(request.Header("content-type"), "application/x-www-form-urlencoded");
}

void SetContentType(const WebhookRequest& request, v1::Event* event) {
  const std::string_view type = request.Header("content-type");
  event->set_data_content_type(type.empty() ? "application/octet-stream" : Attribute(type));
}

Notices One(CloudEvent event) {
  Notices notices;
  notices.events.push_back(std::move(event));
  return notices;
}

absl::StatusOr<Json> ParseObject(std::string_view text, std::string_view service) {
  absl::StatusOr<Json> json = ParseBoundedJson(text);
  if (!json.ok()) return json.status();
  if (!json->is_object()) return Bad(fmt::format("the body is not a JSON object, as {} sends it", service));
  return json;
}

std::string FirstOf(std::initializer_list<std::string> texts) {
  for (const std::string& text : texts) {
    if (!text.empty()) return text;
  }
  return {};
}

// What an event of GitHub is about: a number, an id, or a name of a branch or tag.
std::string GitHubSubject(const Json& json, const std::string& event) {
  if (event == "push" || event == "create" || event == "delete") return JsonText(json, {"ref"});
  if (event == "issues" || event == "issue_comment") return JsonText(json, {"issue", "number"});
  if (event.starts_with("pull_request")) return JsonText(json, {"pull_request", "number"});
  return FirstOf({JsonText(json, {event.c_str(), "number"}), JsonText(json, {event.c_str(), "id"})});
}

bool HasSecrets(std::string_view header, std::string_view secret_header) {
  return header == secret_header || header == "authorization" || header == "cookie" ||
         header == "proxy-authorization" || header.find("token") != std::string_view::npos ||
         header.find("secret") != std::string_view::npos || header.find("api-key") != std::string_view::npos;
}

}  // namespace

std::string Rfc3339OfUnix(std::int64_t seconds) {
  constexpr std::int64_t kYear9999 = 253'402'300'799;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ",
                          absl::FromUnixSeconds(std::clamp<std::int64_t>(seconds, 0, kYear9999)),
                          absl::UTCTimeZone());
}

std::string FormValue(std::string_view form, std::string_view name) {
  for (const std::string_view pair : Split(form, '&')) {
    if (!pair.starts_with(name) || pair.size() <= name.size() || pair[name.size()] != '=') continue;
    const std::string_view encoded = pair.substr(name.size() + 1);
    std::string value;
    for (std::size_t i = 0; i < encoded.size(); ++i) {
      const int high = encoded[i] == '%' && i + 2 < encoded.size() ? base::HexDigit(encoded[i + 1]) : -1;
      const int low = high >= 0 ? base::HexDigit(encoded[i + 2]) : -1;
      if (low >= 0) {
        value.push_back(static_cast<char>(high * 16 + low));
        i += 2;
      } else {
        value.push_back(encoded[i] == '+' ? ' ' : encoded[i]);
      }
    }
    return value;
  }
  return {};
}

absl::StatusOr<Notices> ReadGitHub(WebhookRequest&& request, std::int64_t now) {
  const std::string name = Attribute(request.Header("x-github-event"));
  const std::string id = Attribute(request.Header("x-github-delivery"));
  if (name.empty()) return Bad("the request has no header X-GitHub-Event");
  if (id.empty()) return Bad("the request has no header X-GitHub-Delivery");
  CloudEvent event;
  const bool form = IsForm(request);
  event.data = form ? FormValue(request.body, "payload") : std::move(request.body);
  const absl::StatusOr<Json> json = ParseObject(event.data, "GitHub");
  if (!json.ok()) return json.status();
  const std::string action =
      name == "create" || name == "delete" ? JsonText(*json, {"ref_type"}) : JsonText(*json, {"action"});
  v1::Event& to = event.event;
  to.set_id(id);
  to.set_source(
      Attribute(FirstOf({JsonText(*json, {"repository", "url"}), JsonText(*json, {"organization", "url"}),
                         JsonText(*json, {"sender", "url"}), "https://github.com"})));
  to.set_type(Attribute(fmt::format("com.github.{}{}{}", name, action.empty() ? "" : ".", action)));
  to.set_subject(Attribute(GitHubSubject(*json, name)));
  to.set_time(Rfc3339OfUnix(now));
  to.set_data_content_type("application/json");
  return One(std::move(event));
}

absl::StatusOr<Notices> ReadStripe(WebhookRequest&& request, std::int64_t now) {
  const absl::StatusOr<Json> json = ParseObject(request.body, "Stripe");
  if (!json.ok()) return json.status();
  const std::string id = Attribute(JsonText(*json, {"id"}));
  const std::string type = Attribute(JsonText(*json, {"type"}));
  if (id.empty() || type.empty()) return Bad("the body has no id and type, as an event of Stripe has");
  CloudEvent event;
  v1::Event& to = event.event;
  to.set_id(id);
  const std::string account =
      Attribute(FirstOf({JsonText(*json, {"account"}), JsonText(*json, {"context"})}));
  to.set_source(account.empty() ? "https://api.stripe.com" : "https://api.stripe.com/v1/accounts/" + account);
  to.set_type("com.stripe." + type);
  to.set_subject(Attribute(
      FirstOf({JsonText(*json, {"data", "object", "id"}), JsonText(*json, {"related_object", "id"})})));
  const std::string created = JsonText(*json, {"created"});
  to.set_time(IsRfc3339(created) ? created : Rfc3339OfUnix(ToInteger(created).value_or(now)));
  to.set_data_content_type("application/json");
  event.data = std::move(request.body);
  return One(std::move(event));
}

absl::StatusOr<Notices> ReadSlack(WebhookRequest&& request, std::int64_t now) {
  const bool form = IsForm(request);
  const std::string payload = form ? FormValue(request.body, "payload") : std::string();
  CloudEvent event;
  v1::Event& to = event.event;
  to.set_time(Rfc3339OfUnix(now));
  SetContentType(request, &to);
  if (form && payload.empty()) {
    const std::string command = FormValue(request.body, "command");
    if (command.empty()) return Bad("the form has neither payload nor command, as one of Slack has");
    to.set_id(Attribute(FormValue(request.body, "trigger_id")));
    to.set_source(Attribute("https://slack.com/" + FormValue(request.body, "team_id")));
    to.set_type("com.slack.command");
    to.set_subject(Attribute(command));
  } else {
    const absl::StatusOr<Json> json = ParseObject(form ? payload : request.body, "Slack");
    if (!json.ok()) return json.status();
    const std::string type = JsonText(*json, {"type"});
    if (type == "url_verification") {
      const std::string challenge = JsonText(*json, {"challenge"});
      if (challenge.empty()) return Bad("url_verification has no challenge");
      Notices notices;
      notices.has_answer = true;
      notices.answer = {.status = 200, .content_type = "text/plain", .body = challenge, .headers = {}};
      return notices;
    }
    const std::string inner = JsonText(*json, {"event", "type"});
    if (type.empty()) return Bad("the body has no type, as one of Slack has");
    to.set_id(Attribute(FirstOf({JsonText(*json, {"event_id"}), JsonText(*json, {"trigger_id"})})));
    to.set_source(Attribute("https://slack.com/" +
                            FirstOf({JsonText(*json, {"team_id"}), JsonText(*json, {"team", "id"})})));
    to.set_type(Attribute("com.slack." + (inner.empty() ? type : inner)));
    to.set_subject(
        Attribute(FirstOf({JsonText(*json, {"event", "channel"}), JsonText(*json, {"channel", "id"})})));
    if (const auto seconds = ToInteger(JsonText(*json, {"event_time"}))) to.set_time(Rfc3339OfUnix(*seconds));
    if (form) to.set_data_content_type("application/json");
  }
  // Each signature is over its second and its body.
  if (to.id().empty()) to.set_id(Attribute(request.Header("x-slack-signature")));
  event.data = form && !payload.empty() ? payload : std::move(request.body);
  return One(std::move(event));
}

absl::StatusOr<Notices> ReadStandard(WebhookRequest&& request, const std::string& source) {
  const auto header = [&](std::string_view name) {
    const std::string_view value = request.Header(fmt::format("webhook-{}", name));
    return value.empty() ? request.Header(fmt::format("svix-{}", name)) : value;
  };
  CloudEvent event;
  v1::Event& to = event.event;
  to.set_id(Attribute(header("id")));
  if (to.id().empty()) return Bad("the request has no header webhook-id");
  to.set_source(source);
  const std::optional<std::int64_t> seconds = ToInteger(header("timestamp"));
  if (!seconds) return Bad("the request has no header webhook-timestamp");
  to.set_time(Rfc3339OfUnix(*seconds));
  SetContentType(request, &to);
  to.set_type("dev.mayfly.webhook");
  // By the standard's recommendation, not by its rules.
  const absl::StatusOr<Json> json = ParseBoundedJson(request.body);
  if (json.ok()) {
    if (const std::string type = Attribute(JsonText(*json, {"type"})); !type.empty()) to.set_type(type);
    if (const std::string time = JsonText(*json, {"timestamp"}); IsRfc3339(time)) to.set_time(time);
    if (request.Header("content-type").empty()) to.set_data_content_type("application/json");
  }
  event.data = std::move(request.body);
  return One(std::move(event));
}

absl::StatusOr<Notices> ReadGeneric(WebhookRequest&& request, const std::string& source,
                                    const std::string& id_header, const std::string& secret_header,
                                    std::int64_t now) {
  CloudEvent event;
  v1::Event& to = event.event;
  if (!id_header.empty()) {
    to.set_id(Attribute(request.Header(id_header)));
    if (to.id().empty())
      return Bad(fmt::format("the request has no header {}, which the event's id has to be in", id_header));
  }
  to.set_source(source);
  to.set_type("dev.mayfly.webhook");
  to.set_time(Rfc3339OfUnix(now));
  SetContentType(request, &to);
  v1::HttpRequest& http = *to.mutable_http();
  http.set_method(request.method);
  http.set_path(request.path);
  http.set_query(request.query);
  for (auto& [name, value] : request.path_parameters) {
    v1::Pair& pair = *http.add_path_parameters();
    pair.set_name(name);
    pair.set_value(std::move(value));
  }
  for (auto& [name, value] : request.headers) {
    if (HasSecrets(name, secret_header)) continue;
    v1::Pair& pair = *http.add_headers();
    pair.set_name(name);
    pair.set_value(std::move(value));
  }
  event.data = std::move(request.body);
  return One(std::move(event));
}

}  // namespace mayfly::gateway
