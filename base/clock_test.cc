#include "base/clock.h"

#include <gtest/gtest.h>

#include <thread>

namespace mayfly::base {
namespace {

TEST(FakeClock, StandsStillUntilAdvanced) {
  FakeClock clock;
  const auto start = clock.Now();
  const auto wall = clock.WallNow();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(std::chrono::seconds(3));
  EXPECT_EQ(clock.Now() - start, std::chrono::seconds(3));
  EXPECT_EQ(clock.WallNow() - wall, std::chrono::seconds(3));
}

TEST(FakeClock, EndsAWaitWhenItsDeadlineComes) {
  FakeClock clock;
  std::mutex mutex;
  std::condition_variable_any condition;
  bool woken = true;
  const auto deadline = clock.Now() + std::chrono::hours(1);
  std::jthread waiter([&](std::stop_token stop) {
    std::unique_lock lock(mutex);
    woken = clock.WaitUntil(lock, condition, stop, deadline, [] { return false; });
  });
  clock.Advance(std::chrono::hours(2));
  waiter.join();
  EXPECT_FALSE(woken);
}

TEST(RealClock, EndsAWaitWhenStopIsRequested) {
  RealClock clock;
  std::mutex mutex;
  std::condition_variable_any condition;
  std::jthread waiter([&](std::stop_token stop) {
    std::unique_lock lock(mutex);
    EXPECT_FALSE(
        clock.WaitUntil(lock, condition, stop, clock.Now() + std::chrono::hours(1), [] { return false; }));
  });
  waiter.request_stop();
}

}  // namespace
}  // namespace mayfly::base
