#include "gateway/http/request_event.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace mayfly::gateway {
namespace {

void AddHeader(std::string_view name, std::string_view value, v1::HttpRequest* http) {
  v1::Pair& pair = *http->add_headers();
  pair.mutable_name()->assign(name);
  pair.mutable_value()->assign(value);
}

// Headers that the gateway sets itself.
bool IsReplaced(std::string_view name, const RequestOrigin& origin) {
  switch (name.size()) {
    case 9:
      return origin.trusted_hops == 0 && (name == "forwarded" || name == "x-real-ip");
    case 10:
      return name == "tracestate";
    case 11:
      return name == "traceparent";
    case 12:
      return name == "x-request-id";
    case 15:
      return name == "x-forwarded-for";
    case 16:
      return origin.trusted_hops == 0 && (name == "x-forwarded-host" || name == "x-forwarded-port");
    case 17:
      return origin.trusted_hops == 0 && name == "x-forwarded-proto";
    default:
      return false;
  }
}

void AddForwarded(const RequestHead& head, const RequestOrigin& origin, v1::HttpRequest* http) {
  std::string path;
  if (origin.trusted_hops > 0) {
    for (const HeaderField& field : head.headers) {
      if (field.name == "x-forwarded-for") path.append(field.value).append(", ");
    }
  }
  path += origin.peer;
  AddHeader("x-forwarded-for", path, http);
  if (origin.trusted_hops == 0 || head.Header("x-forwarded-proto").empty()) {
    AddHeader("x-forwarded-proto", "http", http);
  }
  if (origin.trusted_hops == 0 || head.Header("x-forwarded-host").empty()) {
    AddHeader("x-forwarded-host", head.authority, http);
  }
}

}  // namespace

Refusal FillEvent(const RequestHead& head, const RouteMatch& match, const TraceContext& trace,
                  const RequestOrigin& origin, EventMode mode, v1::Event* event) {
  v1::HttpRequest& http = *event->mutable_http();
  http.mutable_method()->assign(head.method);
  http.mutable_path()->assign(head.path);
  if (!head.query.empty()) http.mutable_query()->assign(head.query);
  http.mutable_headers()->Reserve(static_cast<int>(head.headers.size() + 6));
  for (const HeaderField& field : head.headers) {
    if (!field.hop_by_hop && !IsReplaced(field.name, origin)) AddHeader(field.name, field.value, &http);
  }
  AddForwarded(head, origin, &http);
  AddHeader("x-request-id", origin.request_id, &http);
  AddHeader("traceparent", trace.traceparent, &http);
  if (!trace.tracestate.empty()) AddHeader("tracestate", trace.tracestate, &http);
  for (const auto& [name, value] : match.parameters) {
    v1::Pair& pair = *http.add_path_parameters();
    pair.mutable_name()->assign(name);
    *pair.mutable_value() = value;
  }
  if (mode == EventMode::kBinary) return FillBinaryEvent(head, event);
  if (mode == EventMode::kStructured) return {};
  event->mutable_id()->assign(origin.request_id);
  event->mutable_source()->assign(head.path);
  event->set_type("dev.mayfly.http.request");
  event->mutable_time()->assign(origin.time);
  const std::string_view type = head.Header("content-type");
  // A protobuf string must be UTF-8; the header itself is passed on as bytes.
  if (base::IsUtf8(type)) event->mutable_data_content_type()->assign(type);
  return {};
}

}  // namespace mayfly::gateway
