#include "gateway/sources/kafka/kafka_record.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "base/utf8.h"
#include "gateway/sources/cloud_event.h"
#include "gateway/sources/text.h"

namespace mayfly::gateway {
namespace {

constexpr std::string_view kStructured = "application/cloudevents";
constexpr std::string_view kBinary = "ce_";

std::string_view Find(const KafkaRecord& record, std::string_view lower) {
  for (const auto& [name, value] : record.headers) {
    if (name.size() == lower.size() && Lower(name) == lower) return value;
  }
  return {};
}

// Values are plain UTF-8, unlike those of HTTP.
absl::StatusOr<CloudEvent> ReadBinary(const KafkaRecord& record) {
  CloudEvent event;
  bool has_version = false;
  for (const auto& [header, value] : record.headers) {
    if (!StartsWithIgnoreCase(header, kBinary)) continue;
    const std::string name = Lower(header.substr(kBinary.size()));
    if (!base::IsUtf8(value)) return absl::InvalidArgumentError("an attribute is not UTF-8");
    has_version = has_version || name == "specversion";
    if (absl::Status status = SetAttribute(name, std::string(value), &event.event); !status.ok())
      return status;
  }
  if (absl::Status status = CheckComplete(event.event, has_version); !status.ok()) return status;
  if (const std::string_view type = Find(record, "content-type"); !type.empty() && base::IsUtf8(type))
    event.event.set_data_content_type(std::string(type));
  event.data = std::string(record.value);
  return event;
}

void AddAttribute(std::string_view name, std::string value, v1::Event* event) {
  v1::Pair& pair = *event->add_attributes();
  pair.set_name(std::string(name));
  pair.set_value(std::move(value));
}

std::string TimeOf(std::int64_t ms) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E*SZ", absl::FromUnixMillis(ms), absl::UTCTimeZone());
}

CloudEvent OfPlainRecord(const KafkaRecord& record) {
  CloudEvent plain;
  v1::Event& event = plain.event;
  // A topic that is made anew counts from 0 again: the time tells its records from those before.
  event.set_id(
      fmt::format("{}/{}/{}/{}", record.topic, record.partition, record.offset, record.timestamp_ms));
  event.set_source(fmt::format("/kafka/{}", record.topic));
  event.set_type("dev.mayfly.kafka.record");
  if (!record.key.empty() && base::IsUtf8(record.key)) event.set_subject(std::string(record.key));
  if (record.timestamp_ms >= 0) event.set_time(TimeOf(record.timestamp_ms));
  if (const std::string_view type = Find(record, "content-type"); !type.empty() && base::IsUtf8(type))
    event.set_data_content_type(std::string(type));
  if (!record.headers.empty()) {
    nlohmann::json rest = nlohmann::json::object();
    for (const auto& [name, value] : record.headers) {
      if (base::IsUtf8(name) && base::IsUtf8(value)) rest[std::string(name)] = std::string(value);
    }
    if (!rest.empty()) AddAttribute("kafkaheaders", rest.dump(), &event);
  }
  plain.data = std::string(record.value);
  return plain;
}

std::string TextOf(std::string_view key) {
  return base::IsUtf8(key) ? std::string(key) : absl::Base64Escape(Absl(key));
}

}  // namespace

SourceEvent EventOf(const KafkaRecord& record) {
  absl::StatusOr<CloudEvent> event = absl::NotFoundError("");
  if (!record.headers.empty()) {
    if (StartsWithIgnoreCase(Find(record, "content-type"), kStructured)) {
      event = ReadJsonEvent(record.value);
    } else if (!Find(record, "ce_specversion").empty()) {
      event = ReadBinary(record);
    }
  }
  // One that claims to be a CloudEvent and is none is a record like any other.
  if (!event.ok()) event = OfPlainRecord(record);
  SourceEvent result;
  result.event = std::move(event->event);
  result.body = std::move(event->data);
  AddAttribute("kafkatopic", std::string(record.topic), &result.event);
  AddAttribute("kafkapartition", std::to_string(record.partition), &result.event);
  AddAttribute("kafkaoffset", std::to_string(record.offset), &result.event);
  if (record.has_key) {
    AddAttribute("partitionkey", TextOf(record.key), &result.event);
    // Records without a key have no order among them that anybody could mean.
    result.lane = fmt::format("{}/{}/{}", record.topic, record.partition, record.key);
  }
  return result;
}

}  // namespace mayfly::gateway
