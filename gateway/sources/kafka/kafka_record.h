// What a topic has: a record, and the event that it is.
//
// A CloudEvent, if the record is one by the Kafka protocol binding (binary: ce_ headers; structured: a JSON document under
// application/cloudevents+json), else an event of type dev.mayfly.kafka.record, whose source is the topic and whose subject
// is the record's key. Functions here are pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/sources/source.h"

namespace mayfly::gateway {

// Views of what whoever made it has.
struct KafkaRecord {
  std::string_view topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::int64_t timestamp_ms = -1;  // since 1970; -1: it has none
  bool has_key = false;
  std::string_view key;
  std::string_view value;
  std::vector<std::pair<std::string_view, std::string_view>> headers;
};

// Without a token.
SourceEvent EventOf(const KafkaRecord& record);

}  // namespace mayfly::gateway
