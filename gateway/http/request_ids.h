// Ids of requests and their place in a distributed trace.
//
// Every invocation gets an id of its own (26 characters: 48 bits of time and 80 random bits in Crockford's
// base 32, so that ids sort by time). X-Request-Id is the client's if it is safe to repeat, else the
// invocation's id: the two are equal unless the client chose, and a client that repeats its own id still gets
// distinct invocations.
//
// An IdSource belongs to one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/http/request_head.h"

namespace mayfly::gateway {

class IdSource {
 public:
  // Seeded by the kernel's random numbers.
  IdSource();

  // `unix_ms` is the wall time in milliseconds.
  std::string NextInvocationId(std::uint64_t unix_ms);
  std::uint64_t NextRandom();

 private:
  std::uint64_t state_[4];
  std::uint64_t last_ms_ = 0;
  // The 80 random bits of the last id: within one millisecond they are counted up.
  std::uint64_t high_ = 0;
  std::uint64_t low_ = 0;
};

// Whether a client's X-Request-Id may be repeated in headers, logs and JSON: 1 to 128 letters, digits and
// -._:+/=.
bool IsSafeRequestId(std::string_view id);

struct TraceContext {
  // For the function: the caller's trace with a span of our own, or a new trace.
  std::string traceparent;
  // "" if there is none, or none that belongs to a valid traceparent.
  std::string tracestate;
};

// W3C Trace Context: a traceparent that is malformed, all zero, in upper case or doubled starts a new trace.
TraceContext MakeTraceContext(const RequestHead& head, IdSource& ids);

}  // namespace mayfly::gateway
