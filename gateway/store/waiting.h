// Waiting for an EventStore's answer, for threads that may block: commands of people, and tests.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>

#include "base/status.h"
#include "gateway/store/event_store.h"

namespace mayfly::gateway {

// What `ask` is answered with, or kDeadlineExceeded.
//   auto view = WaitFor<EventView>([&](auto done) { store.Find(record, std::move(done)); });
template <typename T>
absl::StatusOr<T> WaitFor(const std::function<void(EventStore::Callback<T>)>& ask,
                          std::chrono::milliseconds within = std::chrono::seconds(10)) {
  auto promise = std::make_shared<std::promise<absl::StatusOr<T>>>();
  std::future<absl::StatusOr<T>> answer = promise->get_future();
  ask([promise](absl::StatusOr<T> result) { promise->set_value(std::move(result)); });
  if (answer.wait_for(within) != std::future_status::ready)
    return absl::DeadlineExceededError("the event store does not answer in time");
  return answer.get();
}

inline absl::Status WaitFor(const std::function<void(EventStore::Done)>& ask,
                            std::chrono::milliseconds within = std::chrono::seconds(10)) {
  auto promise = std::make_shared<std::promise<absl::Status>>();
  std::future<absl::Status> answer = promise->get_future();
  ask([promise](absl::Status status) { promise->set_value(std::move(status)); });
  if (answer.wait_for(within) != std::future_status::ready)
    return absl::DeadlineExceededError("the event store does not answer in time");
  return answer.get();
}

}  // namespace mayfly::gateway
