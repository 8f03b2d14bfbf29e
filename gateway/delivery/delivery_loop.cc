#include "gateway/delivery/delivery_loop.h"

#include <grpcpp/completion_queue.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "base/log.h"
#include "base/thread.h"

namespace mayfly::gateway {

DeliveryLoop::DeliveryLoop(std::size_t threads) {
  for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i) {
    grpc::CompletionQueue& queue = *queues_.emplace_back(std::make_unique<grpc::CompletionQueue>());
    // The queue's own shutdown ends the thread: it must run whatever was begun, so the stop token is not
    // asked.
    threads_.push_back(base::StartThread("delivery-" + std::to_string(i), [&queue](const std::stop_token&) {
      void* tag = nullptr;
      bool ok = false;
      while (queue.Next(&tag, &ok)) static_cast<Completion*>(tag)->Run(ok);
    }));
  }
}

DeliveryLoop::~DeliveryLoop() {
  gate_.Close();
  if (!gate_.WaitUntil(std::chrono::steady_clock::now() + std::chrono::seconds(10))) {
    base::log::Error("streams to replicas are still open after ten seconds; waiting for them",
                     {{"streams", gate_.inside()}});
    while (!gate_.WaitUntil(std::chrono::steady_clock::now() + std::chrono::seconds(10))) {
    }
  }
  for (auto& queue : queues_) queue->Shutdown();
  threads_.clear();
}

grpc::CompletionQueue& DeliveryLoop::NextQueue() {
  return *queues_[next_.fetch_add(1, std::memory_order_relaxed) % queues_.size()];
}

}  // namespace mayfly::gateway
