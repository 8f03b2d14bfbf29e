// Times of events as the commands show them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace mayfly::cli {

// "2026-01-01T03:00:00Z" of Unix milliseconds.
inline std::string ShownTime(std::int64_t unix_ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

}  // namespace mayfly::cli
