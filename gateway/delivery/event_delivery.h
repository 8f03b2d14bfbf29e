// How events become an invocation, and how its answer becomes an outcome for each of them.
//
// One event goes as it is: its attributes and its data, and for one that is an HTTP request its method, path and
// headers. Several go as a batch: the event has the type dev.mayfly.batch, and its data is a JSON array of
// CloudEvents (application/cloudevents-batch+json), in order. The answer says what became of them:
//
//   2xx                                    done; of a batch, all but those that the body names:
//                                          {"failed": [{"index": 2, "message": "…"}]}
//   408, 425, 429, 5xx, a crash, timeout   failed: again by spec.retry; a batch as a whole
//   any other status                       refused for good: a dead letter at once
//   surely not started                     again, and counts as no attempt
//
// Functions here are pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/delivery/pending_event.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {

inline constexpr std::string_view kBatchType = "dev.mayfly.batch";
inline constexpr std::string_view kBatchMediaType = "application/cloudevents-batch+json";

// The event and the body to invoke with. REQUIRES: events is not empty.
void MakeInvocation(const std::vector<PendingEvent*>& events, bool batch, const std::string& trigger,
                    v1::Start* start, std::string* body);

struct Answer {
  v1::ResponseHead head;
  std::string body;
  bool cut = false;  // the body was longer than what was kept
  v1::Result result;
};

struct EventResult {
  enum class Kind { kDone, kFailed, kRefused, kNotStarted };
  Kind kind = Kind::kDone;
  v1::Problem problem;  // unless it is done
};

// One for each of `count` events. `any_answer`: every status below 500 is an answer that is wanted, as for an HTTP
// request whose caller asks for it later.
// `who` has answered, for people.
std::vector<EventResult> ReadAnswer(const Answer& answer, std::size_t count, bool batch, bool any_answer,
                                    std::string_view who = "the handler");

// As the JSON format of CloudEvents has it.
std::string CloudEventJson(const v1::Event& event, const std::string& body);

}  // namespace mayfly::gateway
