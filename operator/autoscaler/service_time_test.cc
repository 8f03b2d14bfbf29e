#include "operator/autoscaler/service_time.h"

#include <gtest/gtest.h>

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

// 200 requests a second that take 0.1 s each.
const TickLoad kSteady{
    .seconds = 1, .busy = 20, .arrived = 200, .running = 20, .ended = 200, .ended_seconds = 20};

ServiceTime Learnt(const TickLoad& tick, int ticks) {
  ServiceTime time;
  for (int i = 0; i < ticks; ++i) time.Learn(tick);
  return time;
}

TEST(ServiceTimeTest, WhatWaitsCountsWholeWhileNothingHasEnded) {
  const TickLoad tick{.seconds = 1, .busy = 10, .held = 190, .arrived = 200, .running = 10};
  const ServiceTime time = Learnt(tick, 5);
  EXPECT_FALSE(time.seconds());
  EXPECT_EQ(time.Demand(tick, 6s), 200);
}

TEST(ServiceTimeTest, WhatWaitsIsWorthWhatTakesItAwayInTime) {
  const ServiceTime time = Learnt(kSteady, 10);
  EXPECT_NEAR(time.seconds().value_or(0), 0.1, 1e-3);
  // 20 for what comes, and 10 that take 400 away in 4 s.
  EXPECT_NEAR(time.Demand({.seconds = 1, .busy = 10, .held = 400, .arrived = 200}, 4s), 30, 0.1);
}

TEST(ServiceTimeTest, IsNeverLessThanWhatRunsNorMoreThanAll) {
  const ServiceTime time = Learnt(kSteady, 10);
  EXPECT_EQ(time.Demand({.seconds = 1, .busy = 50, .held = 1}, 6s), 50);
  EXPECT_EQ(time.Demand({.seconds = 1, .busy = 1, .held = 2, .arrived = 1000}, 6s), 3);
  EXPECT_EQ(time.Demand(kSteady, 6s), 20) << "where nothing waits, what runs";
}

TEST(ServiceTimeTest, LearnsWhatChanges) {
  ServiceTime time = Learnt(kSteady, 30);
  const TickLoad slower{
      .seconds = 1, .busy = 200, .arrived = 200, .running = 200, .ended = 200, .ended_seconds = 200};
  for (int i = 0; i < 60; ++i) time.Learn(slower);
  EXPECT_NEAR(time.seconds().value_or(0), 1, 0.05);
}

TEST(ServiceTimeTest, SeesThatNothingEndsAnyMore) {
  ServiceTime time = Learnt(kSteady, 30);
  const TickLoad hangs{.seconds = 1, .busy = 20, .held = 200, .arrived = 200, .running = 20};
  for (int i = 0; i < 60; ++i) time.Learn(hangs);
  EXPECT_GT(time.seconds().value_or(0), 4);
  EXPECT_EQ(time.Demand(hangs, 6s), 220);
}

TEST(ServiceTimeTest, WhoGivesUpWaitingMakesNoInvocationShorter) {
  ServiceTime time = Learnt(kSteady, 10);
  // As many give up as come: what waits stays the same, and ten run, for a second each.
  const TickLoad hopeless{.seconds = 1,
                          .busy = 10,
                          .held = 1000,
                          .arrived = 500,
                          .running = 10,
                          .ended = 10,
                          .ended_seconds = 10};
  for (int i = 0; i < 60; ++i) time.Learn(hopeless);
  EXPECT_GT(time.seconds().value_or(0), 0.7);
  EXPECT_GT(time.Demand(hopeless, 6s), 500);
}

TEST(ServiceTimeTest, IsKeptWhileNothingComes) {
  ServiceTime time = Learnt(kSteady, 10);
  for (int i = 0; i < 10'000; ++i) time.Learn({.seconds = 1});
  EXPECT_NEAR(time.seconds().value_or(0), 0.1, 1e-3);
}

}  // namespace
}  // namespace mayfly::op
