// A request that carries CloudEvents, in the modes of the HTTP binding: binary, structured, and batch.
//
//   kUnimplemented     it carries none, or in a format or character set that is not understood: 415
//   kInvalidArgument   an event is not as the specification has it; the attribute is named
//
// Functions here are pure.
#pragma once

#include "base/status.h"
#include "gateway/sources/webhook/webhook_request.h"

namespace mayfly::gateway {

absl::StatusOr<Notices> ReadCloudEvents(WebhookRequest&& request);

// What a sender hears that asks, by OPTIONS, whether it may send (CloudEvents' web hooks, section 4): yes, any number.
// A request that names no origin is no such question: kInvalidArgument.
absl::StatusOr<Notices> AnswerHandshake(const WebhookRequest& request);

}  // namespace mayfly::gateway
