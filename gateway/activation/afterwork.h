// Afterwork is what has to happen once a function's mutex is released: sinks called, streams started, kicked
// and closed, demand told.
//
// Nothing of another layer is called under a function's mutex: whoever holds it notes what follows from the
// change here, releases it and calls Run(). A sink is called by one Afterwork at a time, in the order of
// Emit().
//
// Not thread-safe: lives on one thread's stack.
#pragma once

#include <memory>
#include <mutex>

#include "absl/container/inlined_vector.h"
#include "gateway/activation/invocation.h"
#include "gateway/delivery/dispatcher.h"

namespace mayfly::gateway {

class Departures;
class Endpoint;

class Afterwork {
 public:
  Afterwork() = default;
  Afterwork(const Afterwork&) = delete;
  Afterwork& operator=(const Afterwork&) = delete;

  // Each REQUIRES: the function's mutex is held.
  // Gives `part` to the sink. `part` must stay until Run() has returned.
  void Emit(const std::shared_ptr<Invocation>& invocation, v1::ResponsePart& part);
  void Emit(const std::shared_ptr<Invocation>& invocation, std::unique_ptr<v1::ResponsePart> part);
  void EmitWritable(const std::shared_ptr<Invocation>& invocation);
  void Start(std::shared_ptr<Endpoint> endpoint) { starts_.push_back(std::move(endpoint)); }
  void Kick(const std::shared_ptr<Endpoint>& endpoint);
  void Barrier(std::shared_ptr<Endpoint> endpoint) { barriers_.push_back(std::move(endpoint)); }
  void Close(std::shared_ptr<Endpoint> endpoint) { closes_.push_back(std::move(endpoint)); }
  void PushDemand() { push_demand_ = true; }
  void MarkDemandChanged() { demand_changed_ = true; }
  void MarkCharged() { charged_ = true; }

  // REQUIRES: no function's mutex is held; called once. What would be sent is left to `departures` unless it is null.
  void Run(FunctionActivator& function, Departures* departures = nullptr);

 private:
  struct Delivery {
    std::shared_ptr<Invocation> invocation;
    std::shared_ptr<AnswerSink> sink;
    v1::ResponsePart* part;  // null: OnWritable()
    std::unique_ptr<v1::ResponsePart> owned;
    bool last;
  };

  // Whether this Afterwork may call the invocation's sink.
  bool Claim(Invocation& invocation);
  void Add(const std::shared_ptr<Invocation>& invocation, v1::ResponsePart* part,
           std::unique_ptr<v1::ResponsePart> owned);
  void Release(std::mutex& mutex);

  absl::InlinedVector<Delivery, 8> deliveries_;
  absl::InlinedVector<std::shared_ptr<Endpoint>, 2> kicks_;
  absl::InlinedVector<std::shared_ptr<Endpoint>, 1> starts_;
  absl::InlinedVector<std::shared_ptr<Endpoint>, 1> barriers_;
  absl::InlinedVector<std::shared_ptr<Endpoint>, 1> closes_;
  bool push_demand_ = false;
  bool demand_changed_ = false;
  bool charged_ = false;
};

}  // namespace mayfly::gateway
