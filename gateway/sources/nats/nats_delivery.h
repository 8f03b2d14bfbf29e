// What JetStream hands out: a message with the subject by which it is acknowledged, and what that says of it.
//
// As an event: a CloudEvent, if the message is one (binary: ce- headers; structured: a JSON document under
// application/cloudevents+json), else an event of type dev.mayfly.nats.message, whose source is the stream and whose
// subject is the message's. Functions here are pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/sources/nats/nats_connection.h"
#include "gateway/sources/source.h"

namespace mayfly::gateway {

struct NatsDelivery {
  std::string_view stream;
  std::string_view consumer;
  std::uint64_t deliveries = 0;  // this one included
  std::uint64_t stream_sequence = 0;
  std::int64_t time_ns = 0;   // when it was stored, since 1970
  std::uint64_t pending = 0;  // of the consumer, after this one
};

// What an acknowledgement's subject says; nothing if it is none. Views are of `reply`.
std::optional<NatsDelivery> ReadDelivery(std::string_view reply);

// Without a token.
SourceEvent EventOf(const NatsMessage& message, const NatsDelivery& delivery);

}  // namespace mayfly::gateway
