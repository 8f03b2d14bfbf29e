#include "gateway/activation/afterwork.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "gateway/activation/endpoint.h"
#include "gateway/activation/function_activator.h"

namespace mayfly::gateway {

bool Afterwork::Claim(Invocation& invocation) {
  if (invocation.calling == nullptr) invocation.calling = this;
  return invocation.calling == this;
}

void Afterwork::Add(const std::shared_ptr<Invocation>& invocation, v1::ResponsePart* part,
                    std::unique_ptr<v1::ResponsePart> owned) {
  const bool last = part != nullptr && part->has_result();
  // After the last part nobody calls the sink any more.
  std::shared_ptr<AnswerSink> sink = last ? std::move(invocation->sink) : invocation->sink;
  deliveries_.push_back({invocation, std::move(sink), part, std::move(owned), last});
}

void Afterwork::Emit(const std::shared_ptr<Invocation>& invocation, v1::ResponsePart& part) {
  if (!invocation->sink) return;
  if (Claim(*invocation)) {
    Add(invocation, &part, nullptr);
  } else {
    invocation->waiting.push_back(std::move(part));
  }
}

void Afterwork::Emit(const std::shared_ptr<Invocation>& invocation, std::unique_ptr<v1::ResponsePart> part) {
  if (!invocation->sink) return;
  if (Claim(*invocation)) {
    v1::ResponsePart* const borrowed = part.get();
    Add(invocation, borrowed, std::move(part));
  } else {
    invocation->waiting.push_back(std::move(*part));
  }
}

void Afterwork::EmitWritable(const std::shared_ptr<Invocation>& invocation) {
  if (!invocation->sink) return;
  if (Claim(*invocation)) {
    Add(invocation, nullptr, nullptr);
  } else {
    invocation->waiting_writable = true;
  }
}

void Afterwork::Kick(const std::shared_ptr<Endpoint>& endpoint) {
  if (std::find(kicks_.begin(), kicks_.end(), endpoint) == kicks_.end()) kicks_.push_back(endpoint);
}

void Afterwork::Run(FunctionActivator& function, Departures* departures) {
  if (push_demand_) {
    function.PushDemand();
  } else if (demand_changed_) {
    function.MarkDemandChanged();
  }
  if (charged_) function.MarkCharged();
  for (const auto& endpoint : starts_) endpoint->stream().Start(endpoint);
  bool more = false;
  for (Delivery& delivery : deliveries_) {
    if (delivery.part != nullptr) {
      delivery.sink->OnPart(std::move(*delivery.part));
    } else {
      delivery.sink->OnWritable();
    }
    more = more || !delivery.last;
  }
  if (more) Release(function.mutex());
  for (const auto& endpoint : kicks_) {
    if (departures != nullptr) {
      departures->Add(endpoint);
    } else {
      endpoint->Depart();
    }
  }
  for (const auto& endpoint : barriers_) endpoint->stream().Barrier();
  for (const auto& endpoint : closes_) endpoint->stream().Close();
}

void Afterwork::Release(std::mutex& mutex) {
  std::unique_lock lock(mutex);
  for (Delivery& delivery : deliveries_) {
    Invocation& invocation = *delivery.invocation;
    if (delivery.last || invocation.calling != this) continue;
    while (invocation.sink && (!invocation.waiting.empty() || invocation.waiting_writable)) {
      std::vector<v1::ResponsePart> parts = std::exchange(invocation.waiting, {});
      const bool writable = std::exchange(invocation.waiting_writable, false);
      const bool last = !parts.empty() && parts.back().has_result();
      const std::shared_ptr<AnswerSink> sink = last ? std::move(invocation.sink) : invocation.sink;
      lock.unlock();
      for (v1::ResponsePart& part : parts) sink->OnPart(std::move(part));
      if (writable && !last) sink->OnWritable();
      lock.lock();
    }
    invocation.calling = nullptr;
  }
}

}  // namespace mayfly::gateway
