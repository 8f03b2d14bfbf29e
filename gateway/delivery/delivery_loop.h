// A DeliveryLoop is where the gateway's traffic with replicas completes: gRPC completion queues, each drained
// by one thread that also does that queue's socket I/O.
//
// The asynchronous API and threads of our own were chosen over gRPC's callback API because this gRPC runs
// callbacks on a pool of threads that hand each completion over to one another; here, what was read from the
// socket is parsed and fanned out by the thread that read it.
//
// Threads: `delivery-N`, started by the constructor, joined by the destructor.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "base/gate.h"

namespace grpc {
class CompletionQueue;
}

namespace mayfly::gateway {

class DeliveryLoop {
 public:
  // What a completion queue's tag points at.
  class Completion {
   public:
    virtual void Run(bool ok) = 0;

   protected:
    ~Completion() = default;
  };

  explicit DeliveryLoop(std::size_t threads);
  // REQUIRES: whatever entered is closed, and leaves within ten seconds.
  ~DeliveryLoop();
  DeliveryLoop(const DeliveryLoop&) = delete;
  DeliveryLoop& operator=(const DeliveryLoop&) = delete;

  // A queue for a new stream; queues are given out in turn.
  grpc::CompletionQueue& NextQueue();

  // Held by whoever has operations in a queue; empty once the loop stops.
  base::Gate::Pass Enter() { return gate_.Enter(); }

 private:
  base::Gate gate_;
  std::atomic<std::size_t> next_{0};
  std::vector<std::unique_ptr<grpc::CompletionQueue>> queues_;
  std::vector<std::jthread> threads_;
};

}  // namespace mayfly::gateway
