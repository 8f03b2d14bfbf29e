// A DeadlineWheel calls timers at their deadlines, to the nearest five milliseconds, never early.
//
// Every invocation has a deadline and nearly none reaches it, so arming and disarming is what must be cheap:
// both are O(1) under one short lock and wake nobody, unless the new deadline is earlier than all others. A
// timer is kept in a list per tick of a wheel; deadlines beyond one turn stay in their list until their turn
// comes.
//
// Thread-safe. Thread `gw-deadlines` sleeps while nothing is armed.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

#include "base/clock.h"

namespace mayfly::gateway {

class DeadlineWheel {
 public:
  // Something with a deadline. REQUIRES: disarmed before it is destroyed.
  class Timer {
   public:
    virtual ~Timer() = default;

   protected:
    // A reference that keeps this object alive while OnDeadline() runs. Called only while armed.
    virtual std::shared_ptr<Timer> Keep() = 0;
    // On the wheel's thread, no longer armed. A Disarm() that comes at the same time does not prevent it.
    virtual void OnDeadline() = 0;

   private:
    friend class DeadlineWheel;
    Timer* previous_ = nullptr;
    Timer* next_ = nullptr;
    std::int64_t tick_ = -1;  // -1: not armed
  };

  explicit DeadlineWheel(const base::Clock& clock);
  // REQUIRES: nothing is armed.
  ~DeadlineWheel();
  DeadlineWheel(const DeadlineWheel&) = delete;
  DeadlineWheel& operator=(const DeadlineWheel&) = delete;

  // Calls `timer` once `at` has come; an earlier deadline of its is forgotten.
  void Arm(Timer& timer, base::MonotonicTime at);
  void Disarm(Timer& timer);

 private:
  static constexpr std::chrono::milliseconds kTick{5};
  static constexpr std::size_t kLists = 1024;

  void Run(const std::stop_token& stop);
  void Unlink(Timer& timer);      // REQUIRES: mutex_ held
  std::int64_t NextTick() const;  // REQUIRES: mutex_ held
  base::MonotonicTime TimeOf(std::int64_t tick) const { return start_ + tick * kTick; }
  std::int64_t TickAtOrAfter(base::MonotonicTime at) const;

  const base::Clock& clock_;
  const base::MonotonicTime start_;
  std::mutex mutex_;
  std::condition_variable_any earlier_;
  // Guarded by mutex_:
  std::array<Timer*, kLists> lists_{};
  std::size_t armed_ = 0;
  std::int64_t passed_ = 0;  // every tick up to this one has been looked at
  std::int64_t wake_at_;     // the tick that the thread sleeps until
  std::jthread thread_;      // last: it uses all of the above
};

}  // namespace mayfly::gateway
