// A RecordingSink keeps an answer for a test to look at. Thread-safe; checks that it is called as the
// contract says.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>

#include "gateway/delivery/dispatcher.h"

namespace mayfly::gateway {

class RecordingSink final : public AnswerSink {
  template <typename F>
  auto Read(F read) const {
    const std::lock_guard lock(mutex_);
    return read();
  }

 public:
  void OnPart(v1::ResponsePart&& part) override {
    EXPECT_FALSE(busy_.exchange(true)) << "the sink was called while it was being called";
    {
      const std::lock_guard lock(mutex_);
      EXPECT_FALSE(done_) << "something came after the result";
      body_ += part.data();
      if (part.has_head()) status_ = part.head().status();
      if (part.has_result()) {
        result_ = part.result();
        done_ = true;
      }
      ++parts_;
      changed_.notify_all();
    }
    busy_ = false;
  }
  void OnWritable() override {
    EXPECT_FALSE(busy_.exchange(true)) << "the sink was called while it was being called";
    {
      const std::lock_guard lock(mutex_);
      ++writable_;
      changed_.notify_all();
    }
    busy_ = false;
  }

  // False after ten seconds.
  bool WaitDone() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return done_; });
  }
  bool WaitWritable(int times) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return writable_ >= times; });
  }
  bool WaitParts(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return parts_ >= count; });
  }

  bool done() const {
    return Read([&] { return done_; });
  }
  int writable() const {
    return Read([&] { return writable_; });
  }
  std::uint32_t status() const {
    return Read([&] { return status_; });
  }
  std::string body() const {
    return Read([&] { return body_; });
  }
  v1::Outcome outcome() const {
    return Read([&] { return result_.outcome(); });
  }
  std::string reason() const {
    return Read([&] { return result_.problem().reason(); });
  }
  std::string message() const {
    return Read([&] { return result_.problem().message(); });
  }

 private:
  static constexpr std::chrono::seconds kPatience{10};

  std::atomic<bool> busy_{false};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  int parts_ = 0;
  int writable_ = 0;
  std::uint32_t status_ = 0;
  std::string body_;
  v1::Result result_;
};

}  // namespace mayfly::gateway
