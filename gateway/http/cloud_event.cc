#include "gateway/http/cloud_event.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/utf8.h"

namespace mayfly::gateway {
namespace {

Refusal Bad(std::string message) { return Refusal{400, "BadCloudEvent", std::move(message)}; }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "2026-01-01T12:00:00.5+01:00": shape and ranges.
bool IsTime(std::string_view text) {
  const auto number = [&](std::size_t at, std::size_t count, int low, int high) {
    if (at + count > text.size()) return false;
    int value = 0;
    for (std::size_t i = at; i < at + count; ++i) {
      if (!IsDigit(text[i])) return false;
      value = value * 10 + (text[i] - '0');
    }
    return value >= low && value <= high;
  };
  if (!number(0, 4, 0, 9999) || !number(5, 2, 1, 12) || !number(8, 2, 1, 31) || !number(11, 2, 0, 23) ||
      !number(14, 2, 0, 59) || !number(17, 2, 0, 60)) {
    return false;
  }
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' ||
      text[16] != ':') {
    return false;
  }
  std::size_t at = 19;
  if (at < text.size() && text[at] == '.') {
    const std::size_t first = ++at;
    while (at < text.size() && IsDigit(text[at])) ++at;
    if (at == first) return false;
  }
  if (at + 1 == text.size()) return text[at] == 'Z' || text[at] == 'z';
  return at + 6 == text.size() && (text[at] == '+' || text[at] == '-') && number(at + 1, 2, 0, 23) &&
         text[at + 3] == ':' && number(at + 4, 2, 0, 59);
}

bool IsAttributeName(std::string_view name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || IsDigit(c); });
}

// A header's value as the HTTP binding writes it: quotes taken off, then one round of percent-decoding.
bool DecodeHeaderValue(std::string_view value, std::string* out) {
  std::string unquoted;
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    value = value.substr(1, value.size() - 2);
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (value[i] == '\\' && i + 1 < value.size()) ++i;
      unquoted += value[i];
    }
    value = unquoted;
  }
  out->clear();
  for (std::size_t i = 0; i < value.size(); ++i) {
    const int high = i + 2 < value.size() && value[i] == '%' ? base::HexDigit(value[i + 1]) : -1;
    const int low = high >= 0 ? base::HexDigit(value[i + 2]) : -1;
    if (low >= 0) {
      out->push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out->push_back(value[i]);
    }
  }
  return base::IsUtf8(*out);
}

// Sets one attribute; an extension if the specification does not name it.
Refusal SetAttribute(std::string_view name, std::string value, v1::Event* event) {
  if (!IsAttributeName(name)) {
    return Bad(fmt::format("attribute \"{}\" is not named with lower-case letters and digits", name));
  }
  if (name == "specversion") {
    if (value != "1.0") return Bad("attribute specversion is not 1.0");
  } else if (name == "id" || name == "source" || name == "type" || name == "subject") {
    if (value.empty()) return Bad(fmt::format("attribute {} is empty", name));
    std::string& place = name == "id"       ? *event->mutable_id()
                         : name == "source" ? *event->mutable_source()
                         : name == "type"   ? *event->mutable_type()
                                            : *event->mutable_subject();
    place = std::move(value);
  } else if (name == "time") {
    if (!IsTime(value)) return Bad("attribute time is not a time as RFC 3339 writes it");
    event->set_time(std::move(value));
  } else if (name == "datacontenttype") {
    event->set_data_content_type(std::move(value));
  } else {
    v1::Pair& pair = *event->add_attributes();
    pair.mutable_name()->assign(name);
    pair.set_value(std::move(value));
  }
  return {};
}

Refusal CheckComplete(const v1::Event& event, bool has_version) {
  if (!has_version) return Bad("attribute specversion is missing");
  if (event.id().empty()) return Bad("attribute id is missing");
  if (event.source().empty()) return Bad("attribute source is missing");
  if (event.type().empty()) return Bad("attribute type is missing");
  return {};
}

bool DecodeBase64(std::string_view text, std::string* out) {
  if (text.size() % 4 != 0) return false;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool padding = c == '=' && i + 2 >= text.size() && (i + 1 == text.size() || text[i + 1] == '=');
    const std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::size_t value = padding ? 0 : alphabet.find(c);
    if (value == std::string_view::npos) return false;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if (i % 4 != 3) continue;
    const std::size_t padded = c != '=' ? 0 : text[i - 1] != '=' ? 1 : 2;
    for (std::size_t k = 0; k < 3 - padded; ++k)
      out->push_back(static_cast<char>(bits >> (16 - 8 * k) & 0xFF));
    bits = 0;
  }
  return true;
}

Refusal SetJsonAttribute(const std::string& name, const nlohmann::json& value, v1::Event* event) {
  if (value.is_null()) return {};
  if (value.is_string()) return SetAttribute(name, value.get<std::string>(), event);
  const bool extension_type = value.is_boolean() || value.is_number_integer();
  const bool named = name == "id" || name == "source" || name == "type" || name == "subject" ||
                     name == "time" || name == "specversion" || name == "datacontenttype" ||
                     name == "dataschema";
  if (named || !extension_type) return Bad(fmt::format("attribute {} has the wrong type", name));
  return SetAttribute(name, value.dump(), event);
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
    if (Refusal refusal = SetAttribute(name, std::move(value), event)) return refusal;
  }
  return CheckComplete(*event, seen.find(",specversion,") != std::string::npos);
}

Refusal TakeStructuredEvent(std::string* body, v1::Event* event) {
  // Depth is bounded before the document is built: nesting costs a parser its stack.
  constexpr int kDeepest = 64;
  bool too_deep = false;
  nlohmann::json document = nlohmann::json::parse(
      *body,
      [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
        too_deep = too_deep || depth > kDeepest;
        return !too_deep;
      },
      false);
  if (too_deep) return Bad("the event is nested too deeply");
  if (!document.is_object()) return Bad("the body is not a JSON object");
  if (document.contains("data") && document.contains("data_base64")) {
    return Bad("data and data_base64 must not come together");
  }
  event->clear_data_content_type();
  std::string data;
  for (const auto& [name, value] : document.items()) {
    if (name == "data") {
      continue;
    } else if (name == "data_base64") {
      if (!value.is_string() || !DecodeBase64(value.get_ref<const std::string&>(), &data)) {
        return Bad("data_base64 is not base64");
      }
    } else if (Refusal refusal = SetJsonAttribute(name, value, event)) {
      return refusal;
    }
  }
  if (Refusal refusal = CheckComplete(*event, document.contains("specversion"))) return refusal;
  if (const auto found = document.find("data"); found != document.end()) {
    const std::string& type = event->data_content_type();
    const bool json = type.empty() || type.find("json") != std::string::npos;
    data = found->is_string() && !json ? found->get<std::string>() : found->dump();
    if (type.empty()) event->set_data_content_type("application/json");
  }
  *body = std::move(data);
  return {};
}

}  // namespace mayfly::gateway
