// A FunctionActivator takes one function's invocations to its replicas.
//
// It holds them, first come first served and bounded, while no replica has a free slot; gives each to the
// less loaded of two replicas drawn at random, never more than a replica's slots; and puts one back at its
// place in the queue if the replica surely did not start it.
//
// The rule of what surely was not started (the only thing that is ever sent twice):
//   1. its start was never handed to gRPC on a stream that was up; or
//   2. the replica answered OUTCOME_NOT_STARTED; or
//   3. the replica itself ended the stream, with status OK, and had answered nothing of it: a replica that
//   ends
//      properly has answered all that it took.
// Everything else that has no result when its stream breaks may have started, and ends with
// kReasonReplicaLost. What is sent again must still be here whole: a body of which a streamed chunk was
// handed over is not.
//
// Thread-safe; one mutex, under which nothing of another layer is called but the DeadlineWheel (see
// Afterwork). It is at once the mutex of the function's endpoints and invocations. Lock order: a stream's,
// then a function's, then the wheel's.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "gateway/activation/activation_context.h"
#include "gateway/activation/activation_metrics.h"
#include "gateway/activation/afterwork.h"
#include "gateway/activation/endpoint.h"
#include "gateway/activation/invocation.h"
#include "gateway/activation/usage_accounts.h"
#include "gateway/metering/usage_recorder.h"

namespace mayfly::gateway {

class FunctionActivator final : public DemandReporter::Source,
                                public UsageRecorder::Source,
                                public std::enable_shared_from_this<FunctionActivator> {
 public:
  FunctionActivator(ActivationContext& context, std::string name);
  ~FunctionActivator() override;

  // From the operator, one at a time. When Apply() returns, no invocation goes to an endpoint that it
  // removed.
  void Apply(std::shared_ptr<const v1::FunctionRoute> route);
  // No route any more: what is held ends with `reason`, what runs finishes, or ends with it too if `abandon`.
  void Remove(std::string_view reason, const std::string& message, bool abandon);

  // From those who wait.
  void Begin(const std::shared_ptr<Invocation>& invocation, Departures* departures);
  void Write(const std::shared_ptr<Invocation>& invocation, std::string data, bool end);
  void Grant(const std::shared_ptr<Invocation>& invocation, std::uint64_t bytes);
  // The sink still gets the result, unless `detach`.
  void Cancel(const std::shared_ptr<Invocation>& invocation, bool detach);

  // From the wheel.
  void OnDeadline(const std::shared_ptr<Invocation>& invocation);
  void OnUnblock(Endpoint& endpoint);

  // From an endpoint's stream.
  void OnReply(Endpoint& endpoint, v1::ServeReply& reply, bool first);
  void OnWritten(Endpoint& endpoint);
  void OnBroken(Endpoint& endpoint, const absl::Status& why, bool graceful);
  void OnClosed(Endpoint& endpoint);

  v1::Demand ReadDemand() override;
  void PushDemand() { context_.demand.PushNow(shared_from_this()); }
  void MarkDemandChanged() { context_.demand.MarkChanged(shared_from_this()); }

  const std::string& function() const override { return name_; }
  std::vector<std::pair<std::string, UsageSums>> TakeCharges() override;
  void MarkCharged() { context_.usage->MarkCharged(shared_from_this()); }

  std::mutex& mutex() { return mutex_; }
  base::MonotonicTime Now() const { return context_.clock.Now(); }
  const std::string& name() const { return name_; }

 private:
  using InvocationRef = std::shared_ptr<Invocation>;

  // All REQUIRE mutex_ held.
  void Hold(const InvocationRef& invocation);
  void Unhold(Invocation& invocation);
  void EndHeld(const v1::ResponsePart& part, Afterwork& after);
  void Pump(Afterwork& after);
  void Give(Endpoint& endpoint, const InvocationRef& invocation, Afterwork& after);
  Endpoint* Pick();
  void UpdateAvailability(Endpoint& endpoint);
  void Block(Endpoint& endpoint);
  // Its runtime is stopped or wedged, as far as can be seen: the operator is to look at it.
  void TakeForSilent(Endpoint& endpoint);
  void Unblock(Endpoint& endpoint);
  // Puts back what was not started, or ends it if it cannot be sent again.
  void PutBack(const InvocationRef& invocation, Afterwork& after, std::string_view why);
  void TakePart(Endpoint& endpoint, v1::ResponsePart& part, Afterwork& after);
  void Finish(const InvocationRef& invocation, v1::ResponsePart part, Afterwork& after);
  void Settle(Invocation& invocation);
  // Takes the invocation, which was not handed over yet, off its endpoint. REQUIRES: it is kAssigned.
  // Why nothing takes invocations, if anybody said: the end of a sentence.
  std::string WhatIsKnown() const;
  void GiveBack(Invocation& invocation, Afterwork& after);
  void Retire(Endpoint& endpoint, Afterwork& after);
  void CloseIfIdle(Endpoint& endpoint, Afterwork& after);
  void NoteDemand(Afterwork& after);
  bool AnyUp() const;
  std::uint32_t HoldLimit() const;

  ActivationContext& context_;
  const std::string name_;
  const std::uint64_t life_;

  std::mutex mutex_;
  // Guarded by mutex_:
  std::shared_ptr<const v1::FunctionRoute> route_;  // null: removed, or not yet there
  v1::ResponsePart gone_;                           // what ends an invocation while route_ is null
  std::list<InvocationRef> held_;
  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  std::vector<Endpoint*> available_;  // those with a free slot
  std::uint64_t sequence_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint32_t busy_ = 0;    // slots taken at all endpoints
  std::string last_refusal_;  // why a replica last did not start an invocation; "" once one did
  std::uint64_t random_;
  bool demand_changed_ = false;
  bool told_zero_ = true;  // the last report said so
  ActivationMetrics metrics_;
  UsageAccounts usage_;
  bool charge_told_ = false;  // the recorder knows that there is something to take
};

}  // namespace mayfly::gateway
