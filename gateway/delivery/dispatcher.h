// A Dispatcher takes one invocation of a function to a replica that has a slot free, and its answer back.
//
// It holds invocations, in order and bounded, while no slot is free (the function starts, or is busy), tells
// demand, balances by free slots, and sends again elsewhere only what surely did not start. It knows nothing
// of HTTP.
//
// Thread-safe. Sinks are called on any thread, one call at a time per invocation, and must not block: an HTTP
// session posts to its own event loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "mayfly/v1/control.pb.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {

class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  // Parts have no `call`. The last has a result, and nothing comes after it; unless it is OK, result.problem
  // says why. A result without a head before it is an answer that never began: the session chooses the status
  // from problem.reason (see reasons below).
  virtual void OnPart(v1::ResponsePart&& part) = 0;
  // The invocation has its slot, and more of the body may be written: called once after Begin() if the body
  // was not complete, and again after each Write() that was taken.
  virtual void OnWritable() = 0;
};

class Departures;

struct DispatchRequest {
  // The function's route as the router found it.
  std::shared_ptr<const v1::FunctionRoute> route;
  // The trigger that it came by, whose account it goes to; "" if it was invoked by its function's name.
  std::string trigger{};
  // It brings events by that trigger, and is not for the function itself.
  bool events = false;
  // start.timeout_ms is what is left of the function's timeout; it counts from Begin(), time held included.
  v1::Start start;
  std::string body;
  bool body_complete = true;
  // Where the invocation may wait until its caller has begun more of them. Null: it is sent at once.
  Departures* departures = nullptr;
};

// One invocation that was given to a dispatcher. Destroying it cancels it unless it has its result.
class Dispatched {
 public:
  virtual ~Dispatched() = default;
  // REQUIRES: OnWritable() was called since Begin() or the last Write().
  virtual void Write(std::string data, bool end) = 0;
  virtual void Grant(std::uint64_t bytes) = 0;
  virtual void Cancel() = 0;
};

// Reasons in result.problem that begin here rather than in the runtime, and the HTTP status each stands for.
inline constexpr std::string_view kReasonHoldQueueFull = "HoldQueueFull";    // 429 with Retry-After
inline constexpr std::string_view kReasonNotReadyInTime = "NotReadyInTime";  // 504: held past its deadline
inline constexpr std::string_view kReasonReplicaLost =
    "ReplicaLost";  // 502: may have started, not sent again
inline constexpr std::string_view kReasonFunctionGone = "FunctionGone";        // 404: deleted while held
inline constexpr std::string_view kReasonUnavailable = "FunctionUnavailable";  // 503 with Retry-After
inline constexpr std::string_view kReasonShuttingDown = "ShuttingDown";        // 503 with Retry-After

class Dispatcher {
 public:
  virtual ~Dispatcher() = default;
  virtual std::unique_ptr<Dispatched> Begin(DispatchRequest request, std::shared_ptr<AnswerSink> sink) = 0;
};

}  // namespace mayfly::gateway
