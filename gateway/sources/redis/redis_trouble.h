// What it means when a Redis server refuses something, and how to mend it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mayfly::gateway {

enum class RedisTrouble {
  kNoGroup,    // the stream or its consumer group is gone: look for it again
  kElsewhere,  // this server does not do it, another at its address may: connect again
  kRefused,    // try again later
};

RedisTrouble RedisTroubleOf(std::string_view words);

// The server's own words, in one line, and a sentence on how to mend it where one is known.
absl::Status RedisError(std::string_view words);

}  // namespace mayfly::gateway
