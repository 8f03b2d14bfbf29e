#include "gateway/sources/webhook/cloud_event_request.h"

#include <fmt/format.h>

#include <set>

#include "base/utf8.h"
#include "gateway/sources/text.h"

namespace mayfly::gateway {
namespace {

constexpr std::size_t kMostEvents = 1'000;
constexpr std::string_view kAccepted =
    "application/cloudevents+json, application/cloudevents-batch+json, or any type with ce- headers";

struct MediaType {
  std::string name;  // in lower case
  std::string charset;
};

MediaType ReadMediaType(std::string_view header) {
  MediaType type;
  bool first = true;
  for (std::string_view part : Split(header, ';')) {
    part = StripSpace(part);
    if (first) {
      type.name = Lower(part);
    } else if (StartsWithIgnoreCase(part, "charset=")) {
      type.charset = Lower(part.substr(8));
      if (type.charset.size() >= 2 && type.charset.front() == '"' && type.charset.back() == '"')
        type.charset = type.charset.substr(1, type.charset.size() - 2);
    }
    first = false;
  }
  return type;
}

absl::StatusOr<Notices> ReadBinary(WebhookRequest&& request) {
  CloudEvent event;
  std::set<std::string_view> seen;
  std::string value;
  for (const auto& [header, text] : request.headers) {
    if (!header.starts_with("ce-")) continue;
    const std::string_view name = std::string_view(header).substr(3);
    if (name == "datacontenttype")
      return absl::InvalidArgumentError("in binary mode Content-Type says what ce-datacontenttype would");
    if (!seen.insert(name).second)
      return absl::InvalidArgumentError(fmt::format("attribute {} comes twice", name));
    if (!DecodeHeaderValue(text, &value))
      return absl::InvalidArgumentError(fmt::format("attribute {} is not UTF-8", name));
    if (absl::Status status = SetAttribute(name, std::move(value), &event.event); !status.ok()) return status;
  }
  if (absl::Status status = CheckComplete(event.event, seen.contains("specversion")); !status.ok())
    return status;
  if (const std::string_view type = request.Header("content-type"); !type.empty()) {
    if (!base::IsUtf8(type)) return absl::InvalidArgumentError("Content-Type is not UTF-8");
    event.event.set_data_content_type(std::string(type));
  }
  event.data = std::move(request.body);
  Notices notices;
  notices.events.push_back(std::move(event));
  return notices;
}

}  // namespace

absl::StatusOr<Notices> ReadCloudEvents(WebhookRequest&& request) {
  const MediaType type = ReadMediaType(request.Header("content-type"));
  if (!type.name.starts_with("application/cloudevents")) {
    if (request.Has("ce-specversion")) return ReadBinary(std::move(request));
    for (const auto& [header, text] : request.headers) {
      if (header.starts_with("ce-")) return absl::InvalidArgumentError("attribute specversion is missing");
    }
    return absl::UnimplementedError(
        fmt::format("the request carries no CloudEvent; send it as {}", kAccepted));
  }
  if (!type.charset.empty() && type.charset != "utf-8" && type.charset != "utf8" &&
      type.charset != "us-ascii") {
    return absl::UnimplementedError(
        fmt::format("events in charset {} are not understood; use utf-8", base::CleanUtf8(type.charset)));
  }
  Notices notices;
  if (type.name == "application/cloudevents+json") {
    absl::StatusOr<CloudEvent> event = ReadJsonEvent(request.body);
    if (!event.ok()) return event.status();
    notices.events.push_back(*std::move(event));
  } else if (type.name == "application/cloudevents-batch+json") {
    absl::StatusOr<std::vector<CloudEvent>> events = ReadJsonBatch(request.body, kMostEvents);
    if (!events.ok()) return events.status();
    notices.events = *std::move(events);
  } else {
    return absl::UnimplementedError(fmt::format("events as {} are not understood; send them as {}",
                                                base::CleanUtf8(type.name), kAccepted));
  }
  return notices;
}

absl::StatusOr<Notices> AnswerHandshake(const WebhookRequest& request) {
  const std::string_view origin = request.Header("webhook-request-origin");
  if (origin.empty()) {
    return absl::InvalidArgumentError(
        "OPTIONS asks whether a sender may send, and names it in WebHook-Request-Origin, which is missing");
  }
  Notices notices;
  notices.has_answer = true;
  notices.answer.status = 200;
  notices.answer.headers = {{"allow", "POST, OPTIONS"},
                            {"webhook-allowed-origin", std::string(origin)},
                            {"webhook-allowed-rate", "*"}};
  return notices;
}

}  // namespace mayfly::gateway
