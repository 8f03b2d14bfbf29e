#include "gateway/sources/cloud_event.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hex.h"
#include "base/utf8.h"
#include "gateway/sources/bounded_json.h"

namespace mayfly::gateway {
namespace {

using Json = nlohmann::json;

absl::Status Bad(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsAttributeName(std::string_view name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || IsDigit(c); });
}

// "type/subtype", with parameters or without.
bool IsMediaType(std::string_view text) {
  const std::string_view type = text.substr(0, text.find(';'));
  const std::size_t slash = type.find('/');
  return slash != std::string_view::npos && slash > 0 && slash + 1 < type.size() &&
         type.find('/', slash + 1) == std::string_view::npos;
}

bool DecodeBase64(std::string_view text, std::string* out) {
  if (text.size() % 4 != 0) return false;
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool padding = c == '=' && i + 2 >= text.size() && (i + 1 == text.size() || text[i + 1] == '=');
    const std::size_t value = padding ? 0 : kAlphabet.find(c);
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

absl::Status SetJsonAttribute(const std::string& name, const Json& value, v1::Event* event) {
  if (value.is_null()) return absl::OkStatus();
  if (value.is_string()) return SetAttribute(name, value.get<std::string>(), event);
  const bool extension_type = value.is_boolean() || value.is_number_integer();
  const bool named = name == "id" || name == "source" || name == "type" || name == "subject" ||
                     name == "time" || name == "specversion" || name == "datacontenttype" ||
                     name == "dataschema";
  if (named || !extension_type) return Bad(fmt::format("attribute {} has the wrong type", name));
  return SetAttribute(name, value.dump(), event);
}

absl::StatusOr<CloudEvent> ReadDocument(const Json& document) {
  if (!document.is_object()) return Bad("the event is not a JSON object");
  if (document.contains("data") && document.contains("data_base64"))
    return Bad("data and data_base64 must not come together");
  CloudEvent result;
  v1::Event& event = result.event;
  for (const auto& [name, value] : document.items()) {
    if (name == "data") continue;
    if (name == "data_base64") {
      if (!value.is_string() || !DecodeBase64(value.get_ref<const std::string&>(), &result.data))
        return Bad("data_base64 is not base64");
    } else if (absl::Status status = SetJsonAttribute(name, value, &event); !status.ok()) {
      return status;
    }
  }
  if (absl::Status status = CheckComplete(event, document.contains("specversion")); !status.ok())
    return status;
  if (const auto found = document.find("data"); found != document.end()) {
    const std::string& type = event.data_content_type();
    const bool json = type.empty() || type.find("json") != std::string::npos;
    result.data = found->is_string() && !json ? found->get<std::string>() : found->dump();
    if (type.empty()) event.set_data_content_type("application/json");
  }
  return result;
}

}  // namespace

bool IsRfc3339(std::string_view text) {
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

absl::Status SetAttribute(std::string_view name, std::string value, v1::Event* event) {
  if (!IsAttributeName(name))
    return Bad(fmt::format("attribute \"{}\" is not named with lower-case letters and digits", name));
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
    if (!IsRfc3339(value)) return Bad("attribute time is not a time as RFC 3339 writes it");
    event->set_time(std::move(value));
  } else if (name == "datacontenttype") {
    if (!IsMediaType(value)) return Bad("attribute datacontenttype is not a media type");
    event->set_data_content_type(std::move(value));
  } else {
    if (name == "dataschema" && value.empty()) return Bad("attribute dataschema is empty");
    v1::Pair& pair = *event->add_attributes();
    pair.mutable_name()->assign(name);
    pair.set_value(std::move(value));
  }
  return absl::OkStatus();
}

absl::Status CheckComplete(const v1::Event& event, bool has_version) {
  if (!has_version) return Bad("attribute specversion is missing");
  if (event.id().empty()) return Bad("attribute id is missing");
  if (event.source().empty()) return Bad("attribute source is missing");
  if (event.type().empty()) return Bad("attribute type is missing");
  return absl::OkStatus();
}

absl::StatusOr<CloudEvent> ReadJsonEvent(std::string_view text) {
  const absl::StatusOr<Json> document = ParseBoundedJson(text);
  if (!document.ok()) return document.status();
  return ReadDocument(*document);
}

absl::StatusOr<std::vector<CloudEvent>> ReadJsonBatch(std::string_view text, std::size_t most) {
  const absl::StatusOr<Json> document = ParseBoundedJson(text);
  if (!document.ok()) return document.status();
  if (!document->is_array()) return Bad("the batch is not a JSON array");
  if (document->size() > most) return Bad(fmt::format("the batch has more than {} events; send fewer", most));
  std::vector<CloudEvent> events;
  events.reserve(document->size());
  for (std::size_t i = 0; i < document->size(); ++i) {
    absl::StatusOr<CloudEvent> event = ReadDocument((*document)[i]);
    if (!event.ok()) return base::WithContext(event.status(), fmt::format("event {} of the batch", i));
    events.push_back(*std::move(event));
  }
  return events;
}

}  // namespace mayfly::gateway
