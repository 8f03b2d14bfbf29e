// A Clock tells the time and lets a thread wait for it.
//
// Decisions take `now` as an argument; a Clock is only for code that waits or stamps. Durations and deadlines
// use the monotonic time, which no NTP step moves; wall time is for people and for records.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>

namespace mayfly::base {

using MonotonicTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;

  virtual MonotonicTime Now() const = 0;
  virtual WallTime WallNow() const = 0;

  // Waits on `condition` until `wake()` is true, `deadline` has come or `stop` is requested; true if `wake()`
  // is. REQUIRES: `lock` is held and is the mutex that guards what `wake` reads.
  virtual bool WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable_any& condition,
                         std::stop_token stop, MonotonicTime deadline,
                         const std::function<bool()>& wake) const = 0;
};

// The machine's own time.
class RealClock final : public Clock {
 public:
  MonotonicTime Now() const override;
  WallTime WallNow() const override;
  bool WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable_any& condition,
                 std::stop_token stop, MonotonicTime deadline,
                 const std::function<bool()>& wake) const override;
};

// Time that stands still until a test moves it with Advance().
class FakeClock final : public Clock {
 public:
  MonotonicTime Now() const override;
  WallTime WallNow() const override;
  bool WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable_any& condition,
                 std::stop_token stop, MonotonicTime deadline,
                 const std::function<bool()>& wake) const override;

  void Advance(std::chrono::nanoseconds by);

 private:
  mutable std::mutex mutex_;
  std::chrono::nanoseconds elapsed_{std::chrono::hours(1)};
};

}  // namespace mayfly::base
