#include "gateway/delivery/destinations.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/utf8.h"
#include "gateway/sources/cloud_event.h"
#include "gateway/sources/text.h"

namespace mayfly::gateway {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kHops[] = "mayflyhops";
constexpr char kLoop[] = "LoopDetected";
// What the results of one batch may have of its answer, together.
constexpr std::size_t kMostOfBatch = std::size_t{1} << 20;

void SetExtension(const std::string& name, const std::string& value, v1::Event* event) {
  for (v1::Pair& pair : *event->mutable_attributes()) {
    if (pair.name() != name) continue;
    pair.set_value(value);
    return;
  }
  v1::Pair& pair = *event->add_attributes();
  pair.set_name(name);
  pair.set_value(value);
}

std::string TimeOf(UnixMs now) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(now), absl::UTCTimeZone());
}

// The same for the same outcome of the same event, whoever brings it about again.
std::string IdOf(const PendingEvent& event) {
  return absl::StrCat(event.record.empty() ? event.event.id() : event.record, ".", event.attempts);
}

v1::Event Result(const v1::FunctionRoute& route, const TriggerKey& key, const PendingEvent& event,
                 const char* type, UnixMs now) {
  v1::Event result;
  result.set_id(IdOf(event));
  result.set_source(absl::StrCat("/mayfly/functions/", route.function()));
  result.set_type(type);
  result.set_subject(event.event.id());
  result.set_time(TimeOf(now));
  SetExtension("mayflytrigger", key.trigger, &result);
  for (const v1::Pair& pair : event.event.attributes()) {
    if (pair.name() == "traceparent" || pair.name() == "tracestate") *result.add_attributes() = pair;
  }
  return result;
}

// Takes the attributes that an answer has in ce- headers; leaves `result` as it is if they make no event.
void TakeAnswersOwn(const v1::ResponseHead& head, v1::Event* result) {
  v1::Event own;
  bool version = false;
  for (const v1::Pair& header : head.headers()) {
    const std::string name = Lower(header.name());
    if (!name.starts_with("ce-") || name == "ce-datacontenttype") continue;
    std::string value;
    if (!DecodeHeaderValue(header.value(), &value)) return;
    version = version || name == "ce-specversion";
    if (!SetAttribute(name.substr(3), std::move(value), &own).ok()) return;
  }
  if (!version) return;
  if (own.id().empty()) own.set_id(result->id());
  if (!CheckComplete(own, version).ok()) return;
  own.set_data_content_type(result->data_content_type());
  for (const v1::Pair& pair : result->attributes()) SetExtension(pair.name(), pair.value(), &own);
  if (own.time().empty()) own.set_time(result->time());
  *result = std::move(own);
}

std::vector<NewEvent> To(const v1::Destination& destination, const char* url_trigger,
                         const v1::FunctionRoute& route, const PendingEvent& before, v1::Event event,
                         std::string body, UnixMs now) {
  SetExtension(kHops, absl::StrCat(HopsOf(before.event) + 1), &event);
  std::vector<NewEvent> results;
  const auto add = [&](TriggerKey key) {
    NewEvent& result = results.emplace_back();
    result.record = NewRecordId(now);
    result.trigger = std::move(key);
    result.event = event;
    result.body = body;
  };
  if (!destination.function().empty()) add({destination.function(), kDestinationsTrigger});
  if (!destination.url().empty()) add({route.function(), url_trigger});
  return results;
}

bool None(const v1::Destination& destination) {
  return destination.function().empty() && destination.url().empty();
}

}  // namespace

std::uint32_t HopsOf(const v1::Event& event) {
  for (const v1::Pair& pair : event.attributes()) {
    if (pair.name() != kHops) continue;
    // What is no number was not written here: it counts as many, lest a circle goes on by it.
    const auto hops = ToInteger(pair.value());
    return hops && *hops >= 0 && *hops <= kMostHops ? static_cast<std::uint32_t>(*hops) : kMostHops + 1;
  }
  return 0;
}

std::vector<NewEvent> OnSuccess(const v1::FunctionRoute& route, const TriggerKey& key,
                                const PendingEvent& event, const Answer& answer, std::size_t batched,
                                UnixMs now) {
  const v1::Destination& destination = route.on_success();
  if (None(destination) || GoesToUrl(key.trigger)) return {};
  v1::Event result = Result(route, key, event, "dev.mayfly.function.succeeded", now);
  for (const v1::Pair& header : answer.head.headers()) {
    if (Lower(header.name()) == "content-type" && base::IsUtf8(header.value()))
      result.set_data_content_type(header.value());
  }
  TakeAnswersOwn(answer.head, &result);
  std::string body = answer.body;
  bool cut = answer.cut;
  if (batched > 1 && body.size() * batched > kMostOfBatch) {
    body.clear();
    cut = true;
  }
  if (cut) SetExtension("mayflycut", "true", &result);
  return To(destination, kOnSuccessTrigger, route, event, std::move(result), std::move(body), now);
}

std::vector<NewEvent> OnFailure(const v1::FunctionRoute& route, const TriggerKey& key,
                                const PendingEvent& event, const v1::Problem& problem, UnixMs now) {
  const v1::Destination& destination = route.on_failure();
  if (None(destination) || GoesToUrl(key.trigger) || problem.reason() == kLoop) return {};
  v1::Event result = Result(route, key, event, "dev.mayfly.function.failed", now);
  result.set_data_content_type("application/json");
  Json json = {{"function", route.function()},
               {"trigger", key.trigger},
               {"reason", problem.reason()},
               {"message", problem.message()},
               {"attempts", event.attempts}};
  json["event"] = Json::parse(CloudEventJson(event.event, event.body), nullptr, false);
  return To(destination, kOnFailureTrigger, route, event, std::move(result),
            json.dump(-1, ' ', false, Json::error_handler_t::replace), now);
}

std::string UrlOf(const v1::FunctionRoute& route, std::string_view trigger) {
  return trigger == kOnSuccessTrigger ? route.on_success().url() : route.on_failure().url();
}

}  // namespace mayfly::gateway
