// What the parts of a DeliveryEngine share: its inbox, through which other threads reach its own thread, and what it was
// made of.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gateway/delivery/dispatcher.h"
#include "gateway/store/event_store.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

// Tasks for the engine's thread. Thread-safe; one mutex, nothing is called with it held. Outlives the engine as long as
// somebody may post.
class EngineInbox {
 public:
  void Post(std::function<void()> task) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      tasks_.push_back(std::move(task));
    }
    changed_.notify_all();
  }
  std::vector<std::function<void()>> TakeAll() {
    const std::lock_guard lock(mutex_);
    return std::exchange(tasks_, {});
  }
  // Waits for a task, until `deadline` or `stop`.
  void Wait(const base::Clock& clock, const std::stop_token& stop, base::MonotonicTime deadline) {
    std::unique_lock lock(mutex_);
    clock.WaitUntil(lock, changed_, stop, deadline, [this] { return !tasks_.empty(); });
  }
  bool empty() {
    const std::lock_guard lock(mutex_);
    return tasks_.empty();
  }
  // Drops what is there and what comes later.
  void Close() {
    std::vector<std::function<void()>> dropped;
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(tasks_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::function<void()>> tasks_;  // guarded by mutex_
  bool closed_ = false;                       // guarded by mutex_
};

struct DeliveryOptions {
  // What of one trigger may be in memory and not settled.
  std::size_t most_pending = 10'000;
  std::size_t most_pending_bytes = std::size_t{32} << 20;
  // Of the events of durable sources that were done, remembered for duplicates; stored ones are the store's business.
  std::chrono::milliseconds dedup_window = std::chrono::minutes(10);
  std::size_t most_remembered = 100'000;
  // What is kept of an answer: to read a batch's failures, and for whoever asks for an asynchronous invocation's.
  std::size_t most_answer = std::size_t{1} << 20;
  std::uint64_t seed = 0;  // of backoff; 0: by the kernel's random numbers
};

class TriggerDelivery;

// A function as the engine sees it: how many invocations it may have at once. On the engine's thread.
struct FunctionSlots {
  std::string function;
  std::shared_ptr<const v1::FunctionRoute> route;  // null: there is no such function (now)
  std::size_t limit = 0;
  std::size_t in_flight = 0;
  std::set<TriggerDelivery*> waiting;  // for a slot

  bool serves() const { return route != nullptr && !route->has_unavailable(); }
  void SetRoute(std::shared_ptr<const v1::FunctionRoute> to);
};

struct EngineContext {
  Dispatcher& dispatcher;
  EventStore* store;  // may be null
  const base::Clock& clock;
  const DeliveryOptions options;
  std::shared_ptr<EngineInbox> inbox = std::make_shared<EngineInbox>();
  std::set<TriggerDelivery*> dirty{};  // to be looked at in this turn
  Dispatcher* to_urls = nullptr;       // of results that go to URLs; null: they wait
  // The store may have events of this trigger that are due.
  std::function<void(const TriggerKey&)> on_due{};
  std::uint64_t random = 0;

  UnixMs WallMs() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(clock.WallNow().time_since_epoch()).count();
  }
  std::uint64_t NextRandom();
};

// How long until a delivery is tried again after `failures` of them: at random between 0 and minBackoff doubled with
// each failure after the first, up to maxBackoff.
std::chrono::milliseconds RetryDelay(const v1::RetryPolicy& policy, std::uint32_t failures,
                                     std::uint64_t random);

}  // namespace mayfly::gateway
