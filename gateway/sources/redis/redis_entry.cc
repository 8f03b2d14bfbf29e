#include "gateway/sources/redis/redis_entry.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "base/utf8.h"
#include "gateway/sources/cloud_event.h"
#include "gateway/sources/text.h"

namespace mayfly::gateway {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kStructured = "application/cloudevents";
// Ids are times unless whoever adds an entry chooses another: of 2001 and later they are taken for one.
constexpr std::uint64_t kFirstTime = 1'000'000'000'000;
constexpr std::uint64_t kLastTime = 100'000'000'000'000;

const std::string* Find(const RedisEntry& entry, std::string_view name) {
  for (const auto& [field, value] : entry.fields) {
    if (field == name) return &value;
  }
  return nullptr;
}

std::string_view TypeOf(const RedisEntry& entry) {
  for (const auto& [field, value] : entry.fields) {
    const std::string name = Lower(field);
    if ((name == "content-type" || name == "datacontenttype") && base::IsUtf8(value)) return value;
  }
  return {};
}

const std::string* FindData(const RedisEntry& entry) {
  const std::string* const data = Find(entry, "data");
  return data != nullptr ? data : Find(entry, "payload");
}

// "id" of "ce-id" and "ce_id"; "" of others.
std::string AttributeName(std::string_view field) {
  if (!StartsWithIgnoreCase(field, "ce-") && !StartsWithIgnoreCase(field, "ce_")) return "";
  return Lower(field.substr(3));
}

absl::StatusOr<CloudEvent> ReadBinary(const RedisEntry& entry) {
  CloudEvent event;
  bool has_version = false;
  for (const auto& [field, value] : entry.fields) {
    const std::string name = AttributeName(field);
    if (name.empty()) continue;
    if (!base::IsUtf8(value)) return absl::InvalidArgumentError("an attribute is not UTF-8");
    has_version = has_version || name == "specversion";
    if (absl::Status status = SetAttribute(name, value, &event.event); !status.ok()) return status;
  }
  if (absl::Status status = CheckComplete(event.event, has_version); !status.ok()) return status;
  if (const std::string_view type = TypeOf(entry); event.event.data_content_type().empty() && !type.empty())
    event.event.set_data_content_type(std::string(type));
  if (const std::string* const data = FindData(entry)) event.data = *data;
  return event;
}

void AddAttribute(std::string_view name, std::string value, v1::Event* event) {
  v1::Pair& pair = *event->add_attributes();
  pair.set_name(std::string(name));
  pair.set_value(std::move(value));
}

// A name that comes more than once has all its values, in a list.
void AddField(const std::string& name, const std::string& value, Json* object) {
  Json& at = (*object)[base::CleanUtf8(name)];
  std::string text = base::CleanUtf8(value);
  if (at.is_null()) {
    at = std::move(text);
  } else if (at.is_array()) {
    at.push_back(std::move(text));
  } else {
    Json first = std::move(at);
    at = Json::array({std::move(first), std::move(text)});
  }
}

CloudEvent OfPlainEntry(const std::string& stream, const RedisEntry& entry) {
  CloudEvent plain;
  v1::Event& event = plain.event;
  event.set_id(base::CleanUtf8(fmt::format("{}/{}", stream, entry.id.Text())));
  event.set_source(base::CleanUtf8("/redis/" + stream));
  event.set_type("dev.mayfly.redis.entry");
  event.set_subject(base::CleanUtf8(stream));
  if (entry.id.ms >= kFirstTime && entry.id.ms < kLastTime) {
    event.set_time(absl::FormatTime("%Y-%m-%d%ET%H:%M:%E*SZ",
                                    absl::FromUnixMillis(static_cast<std::int64_t>(entry.id.ms)),
                                    absl::UTCTimeZone()));
  }
  const std::string* const data = FindData(entry);
  if (data != nullptr) {
    event.set_data_content_type(std::string(TypeOf(entry)));
    plain.data = *data;
  } else {
    event.set_data_content_type("application/json");
  }
  Json rest = Json::object();
  for (const auto& [field, value] : entry.fields) {
    if (&value != data) AddField(field, value, &rest);
  }
  if (data == nullptr) {
    plain.data = rest.dump();
  } else if (!rest.empty()) {
    AddAttribute("redisfields", rest.dump(), &event);
  }
  return plain;
}

}  // namespace

std::string RedisId::Text() const { return fmt::format("{}-{}", ms, sequence); }

RedisId RedisId::Before() const {
  if (sequence > 0) return {ms, sequence - 1};
  if (ms > 0) return {ms - 1, std::numeric_limits<std::uint64_t>::max()};
  return *this;
}

std::optional<RedisId> ReadRedisId(std::string_view text) {
  RedisId id;
  const char* const end = text.data() + text.size();
  const auto ms = std::from_chars(text.data(), end, id.ms);
  if (ms.ec != std::errc() || ms.ptr == end || *ms.ptr != '-') return std::nullopt;
  const auto sequence = std::from_chars(ms.ptr + 1, end, id.sequence);
  if (sequence.ec != std::errc() || sequence.ptr != end) return std::nullopt;
  return id;
}

std::optional<RedisEntry> ReadRedisEntry(RedisReply& reply) {
  if (!reply.is_array() || reply.items.size() != 2 || !reply.items[0].is_text() || !reply.items[1].is_array())
    return std::nullopt;
  const std::optional<RedisId> id = ReadRedisId(reply.items[0].text);
  std::vector<RedisReply>& texts = reply.items[1].items;
  if (!id || texts.size() % 2 != 0) return std::nullopt;
  RedisEntry entry{.id = *id, .fields = {}};
  entry.fields.reserve(texts.size() / 2);
  for (std::size_t n = 0; n < texts.size(); n += 2) {
    if (!texts[n].is_text() || !texts[n + 1].is_text()) return std::nullopt;
    entry.fields.emplace_back(std::move(texts[n].text), std::move(texts[n + 1].text));
  }
  return entry;
}

SourceEvent EventOf(const std::string& stream, const RedisEntry& entry) {
  absl::StatusOr<CloudEvent> event = absl::NotFoundError("");
  const std::string* const data = FindData(entry);
  if (data != nullptr && StartsWithIgnoreCase(TypeOf(entry), kStructured)) {
    event = ReadJsonEvent(*data);
  } else if (Find(entry, "ce-specversion") != nullptr || Find(entry, "ce_specversion") != nullptr) {
    event = ReadBinary(entry);
  }
  // One that claims to be a CloudEvent and is none is an entry like any other.
  if (!event.ok()) event = OfPlainEntry(stream, entry);
  SourceEvent result;
  result.event = std::move(event->event);
  result.body = std::move(event->data);
  AddAttribute("redisstream", base::CleanUtf8(stream), &result.event);
  AddAttribute("redisid", entry.id.Text(), &result.event);
  const std::string* key = Find(entry, "partitionkey");
  if (key == nullptr) key = Find(entry, "ce-partitionkey");
  if (key == nullptr) key = Find(entry, "ce_partitionkey");
  result.lane = base::CleanUtf8(key == nullptr ? stream : fmt::format("{}/{}", stream, *key));
  return result;
}

}  // namespace mayfly::gateway
