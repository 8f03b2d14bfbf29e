// A RecordingEventSink keeps what a source says, for a test to look at. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gateway/sources/source.h"

namespace mayfly::gateway {

class RecordingEventSink final : public EventSink {
 public:
  void Push(std::vector<SourceEvent> events) override {
    Change([&] {
      arrivals_.resize(arrivals_.size() + events.size(), std::chrono::steady_clock::now());
      for (SourceEvent& event : events) events_.push_back(std::move(event));
    });
  }
  void Revoke(std::vector<EventToken> tokens) override {
    Change([&] { revoked_.insert(revoked_.end(), tokens.begin(), tokens.end()); });
  }
  void SetBacklog(Backlog backlog) override {
    Change([&] { backlog_ = std::move(backlog); });
  }
  void SetHealth(absl::Status health) override {
    Change([&] { health_ = std::move(health); });
  }
  void SaveCursor(std::string cursor) override {
    Change([&] { cursor_ = std::move(cursor); });
  }
  void CountLost(std::size_t count) override {
    Change([&] { lost_ += count; });
  }

  // The first `count` events, once there are so many; fewer after `within`.
  std::vector<SourceEvent> Await(std::size_t count,
                                 std::chrono::milliseconds within = std::chrono::seconds(10)) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, within, [&] { return events_.size() >= count; });
    return events_;
  }
  // When the event of that number, from 0, came.
  std::chrono::steady_clock::time_point arrival(std::size_t number) const {
    const std::lock_guard lock(mutex_);
    return arrivals_.at(number);
  }
  std::optional<absl::Status> health() const {
    const std::lock_guard lock(mutex_);
    return health_;
  }
  Backlog backlog() const {
    const std::lock_guard lock(mutex_);
    return backlog_;
  }
  std::string cursor() const {
    const std::lock_guard lock(mutex_);
    return cursor_;
  }
  std::size_t lost() const {
    const std::lock_guard lock(mutex_);
    return lost_;
  }
  std::vector<EventToken> revoked() const {
    const std::lock_guard lock(mutex_);
    return revoked_;
  }

 private:
  template <typename F>
  void Change(F change) {
    {
      const std::lock_guard lock(mutex_);
      change();
    }
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<SourceEvent> events_;
  std::vector<std::chrono::steady_clock::time_point> arrivals_;
  std::vector<EventToken> revoked_;
  Backlog backlog_;
  std::optional<absl::Status> health_;
  std::string cursor_;
  std::size_t lost_ = 0;
};

}  // namespace mayfly::gateway
