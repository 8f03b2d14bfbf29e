// A NoticeDispatcher takes requests that bring events (webhooks) to whoever receives them for their trigger, and hands all
// others on.
//
// Thread-safe. Answers come on any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

#include "gateway/delivery/dispatcher.h"
#include "gateway/delivery/gathered_request.h"
#include "gateway/sources/request_receiver.h"

namespace mayfly::gateway {

class NoticeDispatcher final : public Dispatcher {
 public:
  // `next` must outlive this. Of bodies at most `most_bytes` are in memory.
  explicit NoticeDispatcher(Dispatcher& next, std::size_t most_bytes = std::size_t{64} << 20)
      : next_(next), budget_(most_bytes) {}

  // Until then such requests are refused with 501. `receiver` must outlive all requests.
  void Use(RequestReceiver& receiver) { receiver_ = &receiver; }

  std::unique_ptr<Dispatched> Begin(DispatchRequest request, std::shared_ptr<AnswerSink> sink) override;

 private:
  void Receive(GatheredRequest gathered);

  Dispatcher& next_;
  std::atomic<RequestReceiver*> receiver_{nullptr};
  GatherBudget budget_;
};

}  // namespace mayfly::gateway
