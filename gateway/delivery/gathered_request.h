// Requests whose bodies are gathered whole before anything is done with them: those that become events.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>

#include "gateway/delivery/dispatcher.h"

namespace mayfly::gateway {

// What bodies may take in memory together, from when they come until their requests are answered. Outlives them.
class GatherBudget {
 public:
  explicit GatherBudget(std::size_t most) : most_(most) {}
  bool Fits(std::size_t bytes) const { return used_ + bytes <= most_; }
  void Add(std::size_t bytes) { used_ += bytes; }
  void Remove(std::size_t bytes) { used_ -= bytes; }

 private:
  const std::size_t most_;
  std::atomic<std::size_t> used_{0};
};

// A request that is whole, body included.
struct GatheredRequest {
  DispatchRequest request;
  std::shared_ptr<AnswerSink> sink;
  // Set once nobody waits for the answer any more.
  std::shared_ptr<std::atomic<bool>> cancelled;
};

// Waits for the rest of the body, and calls `whole` then: at once if it is here. On the caller's thread. What does not fit
// into `budget` is answered with 429.
std::unique_ptr<Dispatched> GatherRequest(DispatchRequest request, std::shared_ptr<AnswerSink> sink,
                                          GatherBudget& budget, std::function<void(GatheredRequest)> whole);

}  // namespace mayfly::gateway
