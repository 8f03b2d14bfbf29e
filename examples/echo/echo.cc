// Answers with what it saw: the whole event as JSON, or with ?raw the body alone, under its own content type.
#include <mayfly/function.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace {

using nlohmann::ordered_json;

std::string Base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  result.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    unsigned group = 0;
    for (std::size_t n = 0; n < 3; n++) {
      group = group << 8 | (at + n < bytes.size() ? static_cast<unsigned char>(bytes[at + n]) : 0u);
    }
    for (std::size_t n = 0; n < 4; n++) {
      result += at + n <= bytes.size() ? kDigits[group >> (18 - 6 * n) & 63] : '=';
    }
  }
  return result;
}

// [{"name": …, "value": …}, …]: names may come more than once, and their order is part of what was seen.
ordered_json Array(const mayfly::Pairs& pairs) {
  ordered_json result = ordered_json::array();
  for (const auto& [name, value] : pairs) result.push_back({{"name", name}, {"value", value}});
  return result;
}

bool IsUtf8(std::string_view text) {
  try {
    (void)ordered_json(text).dump();
    return true;
  } catch (const ordered_json::type_error&) {
    return false;
  }
}

void Echo(const mayfly::Event& event, mayfly::Response& response) {
  if (event.QueryParameter("raw")) {
    const std::string_view type =
        event.content_type().empty() ? event.headers().Get("content-type") : event.content_type();
    response.Send(200, type.empty() ? "application/octet-stream" : type, event.body());
    return;
  }
  ordered_json seen = {{"invocation", event.invocation_id()}, {"attempt", event.attempt()}};
  if (event.is_http()) {
    seen["http"] = {{"method", event.method()},
                    {"path", event.path()},
                    {"query", event.query()},
                    {"headers", Array(event.headers())},
                    {"parameters", Array(event.parameters())}};
  }
  seen["event"] = {{"id", event.id()},
                   {"source", event.source()},
                   {"type", event.type()},
                   {"subject", event.subject()},
                   {"time", event.time()},
                   {"datacontenttype", event.content_type()},
                   {"attributes", Array(event.attributes())}};
  seen["bodySize"] = event.body().size();
  if (IsUtf8(event.body())) {
    seen["body"] = event.body();
  } else {
    seen["bodyBase64"] = Base64(event.body());
  }
  response.Json(seen.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace

MAYFLY_FUNCTION("echo", Echo)
