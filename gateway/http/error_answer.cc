#include "gateway/http/error_answer.h"

#include <nlohmann/json.hpp>

#include "gateway/delivery/dispatcher.h"

namespace mayfly::gateway {

int StatusOf(const v1::Result& result) {
  struct Row {
    std::string_view reason;
    int status;
  };
  static constexpr Row kByReason[] = {
      {kReasonHoldQueueFull, 429}, {kReasonNotReadyInTime, 504}, {kReasonReplicaLost, 502},
      {kReasonFunctionGone, 404},  {kReasonUnavailable, 503},    {kReasonShuttingDown, 503},
      {"RequestTooLarge", 413},    {"BodyTooLarge", 413},
  };
  for (const Row& row : kByReason) {
    if (row.reason == result.problem().reason()) return row.status;
  }
  switch (result.outcome()) {
    case v1::OUTCOME_FAILED:
      return 500;
    case v1::OUTCOME_TIMED_OUT:
      return 504;
    case v1::OUTCOME_CANCELLED:
    case v1::OUTCOME_NOT_STARTED:
      return 503;
    default:
      // OK without an answer, crashed, out of memory, a broken answer, or an outcome that is newer than this
      // gateway.
      return 502;
  }
}

bool HasRetryAfter(int status) { return status == 429 || status == 503; }

std::string ErrorBody(std::string_view request_id, std::string_view component, std::string_view reason,
                      std::string_view message) {
  const nlohmann::ordered_json body = {
      {"requestId", request_id}, {"component", component}, {"reason", reason}, {"message", message}};
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string_view ReasonOf(v1::Outcome outcome) {
  switch (outcome) {
    case v1::OUTCOME_FAILED:
      return "HandlerFailed";
    case v1::OUTCOME_CRASHED:
      return "WorkerCrashed";
    case v1::OUTCOME_TIMED_OUT:
      return "TimedOut";
    case v1::OUTCOME_OUT_OF_MEMORY:
      return "OutOfMemory";
    case v1::OUTCOME_CANCELLED:
      return "Cancelled";
    case v1::OUTCOME_NOT_STARTED:
      return "NotStarted";
    default:
      return "BadAnswer";
  }
}

}  // namespace mayfly::gateway
