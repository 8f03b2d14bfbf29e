// A PendingEvent is an event that the engine has and whose outcome is not known to its origin yet.
//
// Belongs to the engine's thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "gateway/sources/source.h"
#include "gateway/store/event_store.h"

namespace mayfly::gateway {

struct PendingEvent {
  std::uint64_t number = 0;  // within its trigger; grows

  // Of a durable source: the tokens under which it was handed out. Of the store: its record.
  std::vector<EventToken> tokens;
  std::string record;
  bool stored() const { return tokens.empty(); }

  v1::Event event;
  std::string body;
  std::string lane;
  std::string dedup_key;
  bool keep_result = false;

  UnixMs accepted_ms = 0;
  base::MonotonicTime accepted;
  base::MonotonicTime ready;   // since when it could be delivered
  std::uint32_t attempts = 0;  // deliveries that may have started
  std::uint32_t failures = 0;  // of these, those that count against maxAttempts
  v1::AttemptHistory history;
  bool alone = false;  // was in a batch that failed: not with others again
  bool running = false;
  bool revoked = false;    // its source has taken it back
  bool cancelled = false;  // somebody wants it to end
};

}  // namespace mayfly::gateway
