#include "gateway/delivery/event_delivery.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "gateway/delivery/dispatcher.h"
#include "proto/problem.h"

namespace mayfly::gateway {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kQuoted = 300;

bool IsJson(std::string_view type) { return type.empty() || type.find("json") != std::string_view::npos; }

Json ToJson(const v1::Event& event, const std::string& body) {
  Json json = {
      {"specversion", "1.0"}, {"id", event.id()}, {"source", event.source()}, {"type", event.type()}};
  if (!event.subject().empty()) json["subject"] = event.subject();
  if (!event.time().empty()) json["time"] = event.time();
  if (!event.data_content_type().empty()) json["datacontenttype"] = event.data_content_type();
  for (const v1::Pair& pair : event.attributes()) json[pair.name()] = pair.value();
  if (body.empty()) return json;
  if (IsJson(event.data_content_type())) {
    Json data = Json::parse(body, nullptr, false);
    if (!data.is_discarded()) {
      json["data"] = std::move(data);
      return json;
    }
  } else if (base::IsUtf8(body)) {
    json["data"] = body;
    return json;
  }
  json["data_base64"] = absl::Base64Escape(body);
  return json;
}

std::string Beginning(std::string_view body) {
  std::string text(body.substr(0, kQuoted));
  while (!base::IsUtf8(text) && !text.empty()) text.pop_back();
  return body.size() > text.size() ? absl::StrCat(text, "…") : text;
}

bool SurelyNotStarted(const v1::Result& result) {
  if (result.outcome() == v1::OUTCOME_NOT_STARTED) return true;
  const std::string& reason = result.problem().reason();
  return reason == kReasonHoldQueueFull || reason == kReasonNotReadyInTime || reason == kReasonFunctionGone ||
         reason == kReasonUnavailable || reason == kReasonShuttingDown;
}

// Names the items of a batch that its handler says have failed.
void ReadFailures(const std::string& body, std::vector<EventResult>* results) {
  if (body.find("failed") == std::string::npos) return;
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains("failed")) return;
  const auto wrong = [&] {
    for (EventResult& result : *results) {
      result.kind = EventResult::Kind::kFailed;
      result.problem = v1::MakeProblem(
          "function", "BadBatchAnswer",
          R"(the answer to a batch is not {"failed": [{"index": N, "message": "…"}]} with each index within the batch)");
    }
  };
  if (!json["failed"].is_array()) return wrong();
  for (const Json& item : json["failed"]) {
    if (!item.is_object() || !item.contains("index") || !item["index"].is_number_unsigned() ||
        item["index"].get<std::size_t>() >= results->size()) {
      return wrong();
    }
    EventResult& result = (*results)[item["index"].get<std::size_t>()];
    result.kind = EventResult::Kind::kFailed;
    const bool said = item.contains("message") && item["message"].is_string();
    result.problem =
        v1::MakeProblem("function", "ItemFailed",
                        said ? Beginning(item["message"].get<std::string>())
                             : std::string("the handler named this item of its batch as failed"));
  }
}

}  // namespace

void MakeInvocation(const std::vector<PendingEvent*>& events, bool batch, const std::string& trigger,
                    v1::Start* start, std::string* body) {
  std::uint32_t attempt = 1;
  for (const PendingEvent* event : events) attempt = std::max(attempt, event->attempts + 1);
  start->set_attempt(attempt);
  if (!batch) {
    *start->mutable_event() = events.front()->event;
    *body = events.front()->body;
  } else {
    body->clear();
    body->push_back('[');
    for (const PendingEvent* event : events) {
      if (body->size() > 1) body->push_back(',');
      body->append(ToJson(event->event, event->body).dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    body->push_back(']');
    v1::Event& whole = *start->mutable_event();
    whole.set_id(start->invocation_id());
    whole.set_source(absl::StrCat("/mayfly/triggers/", trigger));
    whole.set_type(std::string(kBatchType));
    whole.set_data_content_type(std::string(kBatchMediaType));
  }
  start->set_body_size(body->size());
}

std::string CloudEventJson(const v1::Event& event, const std::string& body) {
  return ToJson(event, body).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<EventResult> ReadAnswer(const Answer& answer, std::size_t count, bool batch, bool any_answer,
                                    std::string_view who) {
  std::vector<EventResult> results(count);
  const auto all = [&](EventResult::Kind kind, v1::Problem problem) {
    for (EventResult& result : results) {
      result.kind = kind;
      result.problem = problem;
    }
  };
  const v1::Result& result = answer.result;
  if (result.outcome() != v1::OUTCOME_OK) {
    all(SurelyNotStarted(result) ? EventResult::Kind::kNotStarted : EventResult::Kind::kFailed,
        result.problem());
    return results;
  }
  const std::uint32_t status = answer.head.status();
  if (status >= 200 && status < 300) {
    if (batch) ReadFailures(answer.body, &results);
    return results;
  }
  const bool again = status == 408 || status == 425 || status == 429 || status >= 500;
  if (any_answer && status < 500) return results;
  all(again ? EventResult::Kind::kFailed : EventResult::Kind::kRefused,
      v1::MakeProblem("function", absl::StrCat("Status", status),
                      absl::StrCat(std::string(who), " answered with status ", status,
                                   answer.body.empty() ? "" : ": ", Beginning(answer.body))));
  return results;
}

}  // namespace mayfly::gateway
