#include "base/backoff.h"

#include <gtest/gtest.h>

namespace mayfly::base {
namespace {

using std::chrono::milliseconds;

TEST(Backoff, DoublesWithJitterUpToItsLongestAndStartsAnewAfterReset) {
  Backoff backoff(milliseconds(100), milliseconds(350));
  for (const int full : {100, 200, 350, 350}) {
    const auto delay = backoff.Next().count();
    EXPECT_GE(delay, full / 2);
    EXPECT_LE(delay, full);
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next().count(), 100);
}

}  // namespace
}  // namespace mayfly::base
