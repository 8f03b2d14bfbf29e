#include "operator/controller/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <thread>

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

TEST(ExecutorTest, RunsAsManyCallsAtOnceAsItMayHaveThreads) {
  Executor executor("test", 4, 100);
  std::latch together(4);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(executor.Run([&] { together.arrive_and_wait(); }));
  }
  EXPECT_TRUE(executor.WaitIdle(10s)) << "four calls that wait for each other need four threads";
}

TEST(ExecutorTest, RefusesMoreThanMayWait) {
  Executor executor("test", 1, 2);
  std::latch started(1);
  std::latch go(1);
  ASSERT_TRUE(executor.Run([&] {
    started.count_down();
    go.wait();
  }));
  started.wait();
  EXPECT_TRUE(executor.Run([] {}));
  EXPECT_TRUE(executor.Run([] {}));
  EXPECT_FALSE(executor.Run([] {}));
  go.count_down();
  EXPECT_TRUE(executor.WaitIdle(10s));
}

TEST(ExecutorTest, DropsWhatWaitsWhenItStopsAndRefusesWhatComesLater) {
  std::atomic<int> ran = 0;
  Executor executor("test", 1, 100);
  std::latch started(1);
  std::latch go(1);
  ASSERT_TRUE(executor.Run([&] {
    started.count_down();
    go.wait();
    ++ran;
  }));
  started.wait();
  auto held = std::make_shared<int>();
  const std::weak_ptr<int> waits = held;
  ASSERT_TRUE(executor.Run([&ran, held = std::move(held)] { ++ran; }));
  std::jthread stopper([&] { executor.Stop(); });
  while (!waits.expired()) std::this_thread::yield();
  EXPECT_FALSE(executor.Run([] {}));
  go.count_down();
  stopper.join();
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace mayfly::op
