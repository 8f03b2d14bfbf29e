#include "operator/api/event_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>

#include "operator/api/spec_bounds.h"
#include "operator/api/units.h"

namespace mayfly::op {
namespace {

constexpr std::array<std::string_view, 5> kFields = {"backlogPerReplica", "batch", "maxInFlight", "orderBy",
                                                     "retry"};

void ReadBatch(const YamlNode& node, const std::string& path, MistakeList& mistakes, v1::BatchPolicy* batch) {
  FieldReader reader(node, path, mistakes);
  std::int32_t size = 1;
  if (!reader.Integer("size", kBatchSize, size) && reader.is_map() && reader.Find("size") == nullptr)
    reader.Wrong("size", "is missing; say how many events go together at most, as in size: 100");
  batch->set_max_events(static_cast<std::uint32_t>(size));
  std::chrono::milliseconds window{0};
  reader.Duration("window", kBatchWindow, window);
  batch->set_window_ms(static_cast<std::uint32_t>(window.count()));
  std::uint64_t bytes = std::uint64_t{1} << 20;
  reader.Quantity("bytes", kBatchBytes, bytes);
  batch->set_max_bytes(bytes);
  reader.Finish();
}

}  // namespace

Retry ReadRetry(const YamlNode& node, const std::string& path, MistakeList& mistakes, const Retry& defaults) {
  FieldReader reader(node, path, mistakes);
  Retry retry = defaults;
  reader.Integer("maxAttempts", kMaxAttempts, retry.max_attempts);
  const bool least = reader.Duration("minBackoff", kMinBackoff, retry.min_backoff);
  const bool most = reader.Duration("maxBackoff", kMaxBackoff, retry.max_backoff);
  reader.Duration("maxAge", kMaxAge, retry.max_age);
  if ((least || most) && retry.min_backoff > retry.max_backoff) {
    reader.Wrong(
        least ? "minBackoff" : "maxBackoff",
        fmt::format("minBackoff {} is longer than maxBackoff {}; raise maxBackoff or lower minBackoff",
                    FormatDuration(retry.min_backoff), FormatDuration(retry.max_backoff)));
  }
  reader.Finish();
  return retry;
}

v1::RetryPolicy RetryMessage(const Retry& retry) {
  v1::RetryPolicy message;
  message.set_max_attempts(static_cast<std::uint32_t>(retry.max_attempts));
  message.set_min_backoff_ms(static_cast<std::uint32_t>(retry.min_backoff.count()));
  message.set_max_backoff_ms(static_cast<std::uint32_t>(retry.max_backoff.count()));
  message.set_max_age_ms(static_cast<std::uint64_t>(retry.max_age.count()));
  return message;
}

bool IsEventPolicy(std::string_view name) {
  return std::find(kFields.begin(), kFields.end(), name) != kFields.end();
}

void ReadEventPolicy(FieldReader& trigger, const Retry& retry, MistakeList& mistakes,
                     v1::EventTrigger* events) {
  if (const YamlNode* batch = trigger.Find("batch"))
    ReadBatch(*batch, trigger.PathOf("batch"), mistakes, events->mutable_batch());
  std::string order;
  if (trigger.Text("orderBy", order)) {
    if (order == "lane") {
      events->set_order_by(order);
    } else if (order != "none") {
      trigger.Wrong("orderBy", fmt::format("{} is not known; use lane or none", Quote(order)));
    }
  }
  std::int32_t most = 0;
  if (trigger.Integer("maxInFlight", kMaxInFlight, most))
    events->set_max_in_flight(static_cast<std::uint32_t>(most));
  std::int32_t waiting = 0;
  if (trigger.Integer("backlogPerReplica", kBacklogPerReplica, waiting))
    events->set_backlog_per_replica(static_cast<std::uint32_t>(waiting));
  if (const YamlNode* own = trigger.Find("retry"))
    *events->mutable_retry() = RetryMessage(ReadRetry(*own, trigger.PathOf("retry"), mistakes, retry));
}

void RefuseEventPolicy(FieldReader& trigger) {
  for (const std::string_view field : kFields) {
    if (trigger.Find(field) != nullptr)
      trigger.Wrong(field, fmt::format("is for events, and an HTTP request is none; leave {} out", field));
  }
}

}  // namespace mayfly::op
