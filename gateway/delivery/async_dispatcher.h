// An AsyncDispatcher takes requests whose caller does not wait (`Prefer: respond-async`, RFC 7240) into the event store,
// answers for them at /_mayfly/invocations/ID, and hands all others on.
//
//   Prefer: respond-async            202 once the request is durable, with Location and {"id"}; 503 with Retry-After if
//                                    it cannot be stored. Idempotency-Key: the same key is the same invocation, within
//                                    the store's dedup window
//   GET /_mayfly/invocations/ID      {"id", "state", "attempts", …}; `result` once it is done
//   DELETE /_mayfly/invocations/ID   takes it back; one that runs is stopped. 409 with its state if it is over
//
// The id is the permission: 80 random bits, as long as the store keeps it.
//
// Thread-safe. Answers come on the store's thread, or the engine's.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

#include "gateway/delivery/delivery_engine.h"
#include "gateway/delivery/dispatcher.h"
#include "gateway/delivery/gathered_request.h"
#include "gateway/delivery/invocations_path.h"

namespace mayfly::gateway {

class AsyncDispatcher final : public Dispatcher {
 public:
  // `next` must outlive this. Of bodies that are gathered, at most `most_bytes` are in memory.
  explicit AsyncDispatcher(Dispatcher& next, std::size_t most_bytes = std::size_t{64} << 20)
      : next_(next), budget_(most_bytes) {}

  // Until then asynchronous requests are refused. `engine` must outlive all requests.
  void Use(DeliveryEngine& engine) { engine_ = &engine; }

  // A request without a route is one for kInvocationsPath.
  std::unique_ptr<Dispatched> Begin(DispatchRequest request, std::shared_ptr<AnswerSink> sink) override;

 private:
  void Store(DispatchRequest request, std::shared_ptr<AnswerSink> sink);
  void Answer(const v1::Event& event, std::shared_ptr<AnswerSink> sink);

  Dispatcher& next_;
  std::atomic<DeliveryEngine*> engine_{nullptr};
  GatherBudget budget_;
};

}  // namespace mayfly::gateway
