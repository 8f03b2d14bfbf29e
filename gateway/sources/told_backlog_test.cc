#include "gateway/sources/told_backlog.h"

#include <gtest/gtest.h>

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

constexpr base::MonotonicTime kBegin = base::MonotonicTime{} + 1h;

TEST(ToldBacklog, IsToldAtOnceWhenItLeavesZeroOrIsKnownNoLonger) {
  ToldBacklog told;
  EXPECT_TRUE(told.Take(Backlog::Of(0), kBegin));
  EXPECT_TRUE(told.Take(Backlog::Of(1), kBegin));
  EXPECT_TRUE(told.Take(Backlog::Unknown(), kBegin));
  EXPECT_TRUE(told.Take(Backlog::Of(1), kBegin));
}

TEST(ToldBacklog, IsToldTenTimesASecondWhileItChanges) {
  ToldBacklog told;
  ASSERT_TRUE(told.Take(Backlog::Of(1), kBegin));
  EXPECT_FALSE(told.Take(Backlog::Of(2), kBegin + 99ms));
  EXPECT_EQ(told.Due(Backlog::Of(2)), kBegin + 100ms);
  EXPECT_TRUE(told.Take(Backlog::Of(3), kBegin + 100ms));
}

TEST(ToldBacklog, IsNotToldTwice) {
  ToldBacklog told;
  ASSERT_TRUE(told.Take(Backlog::Of(1), kBegin));
  EXPECT_FALSE(told.Take(Backlog::Of(1), kBegin + 1h));
  EXPECT_EQ(told.Due(Backlog::Of(1)), std::nullopt);
}

}  // namespace
}  // namespace mayfly::gateway
