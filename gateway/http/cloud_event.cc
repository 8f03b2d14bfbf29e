#include "gateway/http/cloud_event.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "gateway/sources/cloud_event.h"

namespace mayfly::gateway {
namespace {

Refusal Bad(std::string message) { return Refusal{400, "BadCloudEvent", std::move(message)}; }

Refusal RefusalOf(const absl::Status& status) {
  return status.ok() ? Refusal() : Bad(std::string(status.message()));
}

}  // namespace

Refusal FindEventMode(const RequestHead& head, EventMode* mode) {
  *mode = EventMode::kRequest;
  const std::string_view type = head.Header("content-type");
  constexpr std::string_view kStructured = "application/cloudevents";
  if (type.size() >= kStructured.size() &&
      EqualsIgnoreCase(type.substr(0, kStructured.size()), kStructured)) {
    const std::string_view rest = type.substr(kStructured.size());
    const std::string_view format = rest.substr(0, rest.find_first_of("; \t"));
    if (!EqualsIgnoreCase(format, "+json")) {
      return Refusal{
          415, "UnsupportedMediaType",
          "of CloudEvents in a body, one event as application/cloudevents+json is understood here"};
    }
    *mode = EventMode::kStructured;
    return {};
  }
  for (const HeaderField& field : head.headers) {
    if (field.name == "ce-specversion") *mode = EventMode::kBinary;
  }
  return {};
}

Refusal FillBinaryEvent(const RequestHead& head, v1::Event* event) {
  const std::string_view type = head.Header("content-type");
  if (!base::IsUtf8(type)) return Bad("Content-Type is not UTF-8");
  event->mutable_data_content_type()->assign(type);
  std::string value;
  std::string seen = ",";
  for (const HeaderField& field : head.headers) {
    if (field.name.substr(0, 3) != "ce-") continue;
    const std::string_view name = field.name.substr(3);
    if (name == "datacontenttype")
      return Bad("in binary mode Content-Type says what ce-datacontenttype would");
    if (seen.find(fmt::format(",{},", name)) != std::string::npos) {
      return Bad(fmt::format("attribute {} comes twice", name));
    }
    seen.append(name).append(",");
    if (!DecodeHeaderValue(field.value, &value)) return Bad(fmt::format("attribute {} is not UTF-8", name));
    if (Refusal refusal = RefusalOf(SetAttribute(name, std::move(value), event))) return refusal;
  }
  return RefusalOf(CheckComplete(*event, seen.find(",specversion,") != std::string::npos));
}

Refusal TakeStructuredEvent(std::string* body, v1::Event* event) {
  absl::StatusOr<CloudEvent> read = ReadJsonEvent(*body);
  if (!read.ok()) return RefusalOf(read.status());
  // The request's own part stays.
  if (event->has_http()) read->event.mutable_http()->Swap(event->mutable_http());
  *event = std::move(read->event);
  *body = std::move(read->data);
  return {};
}

}  // namespace mayfly::gateway
