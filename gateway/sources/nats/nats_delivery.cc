#include "gateway/sources/nats/nats_delivery.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/time/time.h"
#include "base/utf8.h"
#include "gateway/sources/cloud_event.h"
#include "gateway/sources/text.h"

namespace mayfly::gateway {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kStructured = "application/cloudevents";

template <typename T>
bool ReadNumber(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string_view Find(const Headers& headers, std::string_view lower) {
  for (const auto& [name, value] : headers) {
    if (name.size() == lower.size() && Lower(name) == lower) return value;
  }
  return {};
}

absl::StatusOr<CloudEvent> ReadBinary(const Headers& headers, std::string_view data) {
  CloudEvent event;
  bool has_version = false;
  std::string value;
  for (const auto& [header, text] : headers) {
    if (!StartsWithIgnoreCase(header, "ce-")) continue;
    const std::string name = Lower(std::string_view(header).substr(3));
    if (!DecodeHeaderValue(text, &value)) return absl::InvalidArgumentError("an attribute is not UTF-8");
    has_version = has_version || name == "specversion";
    if (absl::Status status = SetAttribute(name, value, &event.event); !status.ok()) return status;
  }
  if (absl::Status status = CheckComplete(event.event, has_version); !status.ok()) return status;
  if (const std::string_view type = Find(headers, "content-type");
      event.event.data_content_type().empty() && !type.empty() && base::IsUtf8(type)) {
    event.event.set_data_content_type(std::string(type));
  }
  event.data = std::string(data);
  return event;
}

void AddAttribute(std::string_view name, std::string value, v1::Event* event) {
  v1::Pair& pair = *event->add_attributes();
  pair.set_name(std::string(name));
  pair.set_value(std::move(value));
}

std::string TimeOf(std::int64_t ns) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E*SZ", absl::FromUnixNanos(ns), absl::UTCTimeZone());
}

CloudEvent OfPlainMessage(const NatsMessage& message, const NatsDelivery& delivery, const Headers& headers) {
  CloudEvent plain;
  v1::Event& event = plain.event;
  const std::string_view id = Find(headers, "nats-msg-id");
  // A stream that is made anew counts from 1 again: the time tells its messages from those before.
  event.set_id(!id.empty() && base::IsUtf8(id)
                   ? std::string(id)
                   : fmt::format("{}:{}:{}", delivery.stream, delivery.stream_sequence, delivery.time_ns));
  event.set_source(fmt::format("/nats/{}", delivery.stream));
  event.set_type("dev.mayfly.nats.message");
  event.set_subject(std::string(message.subject()));
  event.set_time(TimeOf(delivery.time_ns));
  if (const std::string_view type = Find(headers, "content-type"); !type.empty() && base::IsUtf8(type))
    event.set_data_content_type(std::string(type));
  nlohmann::json rest = nlohmann::json::object();
  for (const auto& [name, value] : headers) {
    if (base::IsUtf8(name) && base::IsUtf8(value)) rest[name] = value;
  }
  if (!rest.empty()) AddAttribute("natsheaders", rest.dump(), &event);
  plain.data = std::string(message.data());
  return plain;
}

}  // namespace

std::optional<NatsDelivery> ReadDelivery(std::string_view reply) {
  constexpr std::string_view kPrefix = "$JS.ACK.";
  if (!reply.starts_with(kPrefix)) return std::nullopt;
  std::vector<std::string_view> parts = Split(reply.substr(kPrefix.size()), '.');
  // Newer servers have the domain and the account in front, and may have more at the end.
  constexpr std::size_t kOld = 7;
  constexpr std::size_t kInFront = 2;
  if (parts.size() > kOld) parts.erase(parts.begin(), parts.begin() + kInFront);
  if (parts.size() < kOld) return std::nullopt;
  NatsDelivery delivery;
  delivery.stream = parts[0];
  delivery.consumer = parts[1];
  std::uint64_t consumer_sequence = 0;
  if (!ReadNumber(parts[2], delivery.deliveries) || !ReadNumber(parts[3], delivery.stream_sequence) ||
      !ReadNumber(parts[4], consumer_sequence) || !ReadNumber(parts[5], delivery.time_ns) ||
      !ReadNumber(parts[6], delivery.pending)) {
    return std::nullopt;
  }
  return delivery;
}

SourceEvent EventOf(const NatsMessage& message, const NatsDelivery& delivery) {
  const Headers headers = message.Headers();
  absl::StatusOr<CloudEvent> event = absl::NotFoundError("");
  if (StartsWithIgnoreCase(Find(headers, "content-type"), kStructured)) {
    event = ReadJsonEvent(message.data());
  } else if (!Find(headers, "ce-specversion").empty()) {
    event = ReadBinary(headers, message.data());
  }
  // One that claims to be a CloudEvent and is none is a message like any other.
  if (!event.ok()) event = OfPlainMessage(message, delivery, headers);
  SourceEvent result;
  result.event = std::move(event->event);
  result.body = std::move(event->data);
  AddAttribute("natssubject", std::string(message.subject()), &result.event);
  AddAttribute("natssequence", std::to_string(delivery.stream_sequence), &result.event);
  result.lane = std::string(message.subject());
  result.deliveries = static_cast<std::uint32_t>(std::min<std::uint64_t>(delivery.deliveries, UINT32_MAX));
  return result;
}

}  // namespace mayfly::gateway
