#include "operator/kube/rate_limiter.h"

#include <gtest/gtest.h>

#include <thread>

namespace mayfly::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RateLimiter, LetsABurstThroughAndThenAsManyASecondAsItIsTold) {
  base::FakeClock clock;
  RateLimiter limiter(clock, {.per_second = 10, .burst = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Acquire(Priority::kNormal, clock.Now(), {}).ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(limiter.Acquire(Priority::kNormal, clock.Now(), {})));
  clock.Advance(milliseconds(100));
  EXPECT_TRUE(limiter.Acquire(Priority::kNormal, clock.Now(), {}).ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(limiter.Acquire(Priority::kNormal, clock.Now(), {})));
}

TEST(RateLimiter, NeverKeepsAnUrgentRequestWaitingBehindAThousandOthers) {
  base::RealClock clock;
  RateLimiter limiter(clock, {.per_second = 1, .burst = 1});
  EXPECT_TRUE(limiter.Acquire(Priority::kNormal, clock.Now(), {}).ok());
  std::stop_source stop;
  std::vector<std::jthread> resync;
  for (int i = 0; i < 8; ++i) {
    resync.emplace_back([&] {
      EXPECT_TRUE(absl::IsCancelled(
          limiter.Acquire(Priority::kNormal, clock.Now() + seconds(600), stop.get_token())));
    });
  }
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(limiter.Acquire(Priority::kUrgent, clock.Now(), {}).ok());
  // And what it took, the others wait for.
  EXPECT_FALSE(limiter.Acquire(Priority::kNormal, clock.Now() + seconds(1), {}).ok());
  stop.request_stop();
}

TEST(RateLimiter, RefusesAtOnceWhatWouldWaitPastItsDeadlineAndTakesNothingForIt) {
  base::FakeClock clock;
  RateLimiter limiter(clock, {.per_second = 1, .burst = 1});
  EXPECT_TRUE(limiter.Acquire(Priority::kNormal, clock.Now(), {}).ok());
  for (int i = 0; i < 50; ++i) {
    EXPECT_FALSE(limiter.Acquire(Priority::kNormal, clock.Now() + milliseconds(500), {}).ok());
  }
  clock.Advance(seconds(1));
  EXPECT_TRUE(limiter.Acquire(Priority::kNormal, clock.Now(), {}).ok());
}

}  // namespace
}  // namespace mayfly::kube
