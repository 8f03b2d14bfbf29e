// Entries of a Redis stream, and what is made of them.
//
// An entry's fields are its headers, but for `data` (or `payload`, if there is no `data`), which is the event's data as it is.
// Without either the data is a JSON object of all fields. As an event: a CloudEvent, if the entry is one (fields `ce-id` … or
// `ce_id` …, or data of the type application/cloudevents+json), else one of the type dev.mayfly.redis.entry, whose source
// is the stream. Its lane is what the field `partitionkey` says, within the stream; without it the whole stream.
//
// Functions here are pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/sources/redis/redis_reply.h"
#include "gateway/sources/source.h"

namespace mayfly::gateway {

struct RedisId {
  std::uint64_t ms = 0;
  std::uint64_t sequence = 0;

  auto operator<=>(const RedisId&) const = default;

  std::string Text() const;  // "1700000000000-0"
  // The greatest that is less; itself if there is none.
  RedisId Before() const;
};

std::optional<RedisId> ReadRedisId(std::string_view text);

struct RedisEntry {
  RedisId id;
  std::vector<std::pair<std::string, std::string>> fields;
};

// [id, [field, value, …]]; nothing if it is not that. Takes the texts out of `reply`.
std::optional<RedisEntry> ReadRedisEntry(RedisReply& reply);

// Without a token.
SourceEvent EventOf(const std::string& stream, const RedisEntry& entry);

}  // namespace mayfly::gateway
