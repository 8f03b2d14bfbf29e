// Where the results of events go: a function, a URL, or both, for those that were handled and for those that were given up.
//
// A result is an event of its own, of the trigger `_destinations` of the function that it goes to, or `_onSuccess` and
// `_onFailure` of the function that has it, for URLs. It goes into the store in the transaction that ends the event that it
// is of, so it is there if and only if that is over.
//
//   onSuccess   the answer: its body, under dev.mayfly.function.succeeded; or the CloudEvent that it is, if it has ce- headers
//   onFailure   dev.mayfly.function.failed: {"function", "trigger", "reason", "message", "attempts", "event": {…}}
//
// Each has a hop more than the event before (the attribute mayflyhops): functions that call each other in a circle end as
// dead letters.
//
// Functions here are pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/delivery/event_delivery.h"
#include "gateway/delivery/pending_event.h"
#include "gateway/sources/trigger_key.h"
#include "gateway/store/event_store.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

// No manifest can name triggers like these.
inline constexpr char kDestinationsTrigger[] = "_destinations";
inline constexpr char kOnSuccessTrigger[] = "_onSuccess";
inline constexpr char kOnFailureTrigger[] = "_onFailure";

inline constexpr std::uint32_t kMostHops = 16;

// Whether its events go to a URL instead of the function.
inline bool GoesToUrl(std::string_view trigger) {
  return trigger == kOnSuccessTrigger || trigger == kOnFailureTrigger;
}

// How many results came before this event.
std::uint32_t HopsOf(const v1::Event& event);

// The results of an event that `route`'s function has handled; event.attempts counts that delivery. `batched`: how many events the answer is of.
std::vector<NewEvent> OnSuccess(const v1::FunctionRoute& route, const TriggerKey& key,
                                const PendingEvent& event, const Answer& answer, std::size_t batched,
                                UnixMs now);

// … and of one that was given up for `problem`. None if that is a circle of functions.
std::vector<NewEvent> OnFailure(const v1::FunctionRoute& route, const TriggerKey& key,
                                const PendingEvent& event, const v1::Problem& problem, UnixMs now);

// "" if the function has none (any more).
std::string UrlOf(const v1::FunctionRoute& route, std::string_view trigger);

}  // namespace mayfly::gateway
