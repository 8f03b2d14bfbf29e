// An Invocation is one request on its way: held, then given to a replica, then answered.
//
// It owns its request (start and body) until the answer is there, so that what surely was not started can be
// sent elsewhere. A body that is streamed is given up chunk by chunk; from the first such chunk on it cannot
// be.
//
// Everything but what is marked const is guarded by its function's mutex.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "gateway/activation/deadline_wheel.h"
#include "gateway/delivery/dispatcher.h"

namespace mayfly::gateway {

class Afterwork;
class Endpoint;
class FunctionActivator;

class Invocation final : public DeadlineWheel::Timer, public std::enable_shared_from_this<Invocation> {
 public:
  enum class State {
    kHeld,      // in the function's queue, or not begun
    kAssigned,  // has its slot; nothing was handed to gRPC
    kHanded,    // its start was handed to gRPC: it may have started
    kDone,      // has its result
  };

  Invocation(std::shared_ptr<FunctionActivator> of, DispatchRequest request, std::shared_ptr<AnswerSink> to,
             base::MonotonicTime now);

  // Whether it may be sent again, if the replica surely has not started it.
  bool CanBeSentAgain() const { return !streamed && !head_seen; }

  const std::shared_ptr<FunctionActivator> function;
  const base::MonotonicTime begun;
  const base::MonotonicTime deadline;
  const std::string trigger;
  const std::string start;  // encoded, without timeout_ms; made after `deadline`, which needs it

  // What Dispatched asks without the lock.
  std::atomic<bool> done{false};

  State state = State::kHeld;
  std::uint32_t account = 0;                                 // its trigger's place in its function's usage
  std::uint64_t sequence = 0;                                // its place in the function's order
  std::list<std::shared_ptr<Invocation>>::iterator held_at;  // valid in the queue only
  bool in_queue = false;
  bool held_cold = false;      // held while the function had no replica at all
  bool cancelled = false;      // by the caller
  std::uint32_t refusals = 0;  // times that a replica did not start it

  // Valid while kAssigned or kHanded.
  Endpoint* endpoint = nullptr;
  std::uint64_t call = 0;

  // The body that is being sent, and how much of it was handed over.
  std::string body;
  std::size_t body_sent = 0;
  bool body_complete = true;  // `body` is the rest of the request
  // What Write() gave, to follow `body`.
  std::string chunk;
  bool chunk_due = false;
  bool chunk_end = false;
  bool streamed = false;   // part of the body is no longer kept
  bool permitted = false;  // the sink was told that it may write

  std::uint64_t granted = 0;    // beyond start.window
  std::uint64_t grant_due = 0;  // of that, not yet handed over
  bool head_seen = false;

  // The sink is called by one Afterwork at a time; what comes meanwhile waits in `waiting`.
  std::shared_ptr<AnswerSink> sink;
  const Afterwork* calling = nullptr;
  std::vector<v1::ResponsePart> waiting;
  bool waiting_writable = false;

 protected:
  std::shared_ptr<Timer> Keep() override { return shared_from_this(); }
  void OnDeadline() override;
};

// A part that ends an answer in the gateway itself.
v1::ResponsePart EndingPart(v1::Outcome outcome, std::string_view reason, std::string message);

}  // namespace mayfly::gateway
