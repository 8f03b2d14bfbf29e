#include <gtest/gtest.h>

#include "operator/reconcilers/testing/rig.h"

namespace mayfly::op {
namespace {

class UsageTest : public testing::Test {
 protected:
  UsageTest() {
    rig_.link_.ConfirmAtOnce(true);
    rig_.cluster_.Apply(rig_.Hello());
    rig_.Settle();
  }

  std::int64_t Written() {
    const auto usage = rig_.cluster_.Status(Rig::kKey).usage;
    return usage ? usage->invocations : -1;
  }

  Rig rig_;
};

TEST_F(UsageTest, IsShownAtOnceAndWrittenEveryThirtySecondsAtMost) {
  rig_.ReportUsage(1);
  rig_.Settle();
  EXPECT_EQ(rig_.reconciler_.View(Rig::kKey)->status.usage->invocations, 1);
  EXPECT_EQ(Written(), -1);
  rig_.Pass(3);
  EXPECT_EQ(Written(), 1);
  const int writes = rig_.cluster_.status_writes();
  for (int second = 0; second < 90; ++second) {
    rig_.ReportUsage(2 + static_cast<std::uint64_t>(second));
    rig_.Pass(1);
  }
  EXPECT_GE(rig_.cluster_.status_writes() - writes, 2);
  EXPECT_LE(rig_.cluster_.status_writes() - writes, 3);
  rig_.Pass(31);
  EXPECT_EQ(Written(), 91);
}

TEST_F(UsageTest, OfAFunctionAtRestWritesNothing) {
  rig_.ReportUsage(5);
  rig_.Pass(40);
  const int writes = rig_.cluster_.status_writes();
  for (int minute = 0; minute < 10; ++minute) {
    rig_.ReportUsage(5);         // a gateway that connected again
    rig_.queue_.Add(Rig::kKey);  // a resync
    rig_.Pass(60);
  }
  EXPECT_EQ(rig_.cluster_.status_writes(), writes);
  EXPECT_EQ(Written(), 5);
}

TEST_F(UsageTest, GoesWithAnyOtherWrite) {
  rig_.ReportUsage(5);
  rig_.Pass(3);
  rig_.ReportUsage(7);
  rig_.ServeOne();  // ready replicas: another status
  EXPECT_EQ(Written(), 7);
}

TEST_F(UsageTest, IsCountedOnFromWhatAnEarlierOperatorWrote) {
  rig_.ReportUsage(5);
  rig_.Pass(3);
  FunctionObject object = rig_.Hello();
  object.status = rig_.cluster_.Status(Rig::kKey);

  Rig next;
  next.link_.ConfirmAtOnce(true);
  next.cluster_.Apply(object);
  next.Settle();
  const int writes = next.cluster_.status_writes();
  next.ReportUsage(5);
  next.Pass(60);
  EXPECT_EQ(next.cluster_.status_writes(), writes);
  EXPECT_EQ(next.reconciler_.View(Rig::kKey)->status.usage->invocations, 5);
  next.ReportUsage(8);
  next.Pass(31);
  EXPECT_EQ(next.cluster_.Status(Rig::kKey).usage->invocations, 8);
}

TEST_F(UsageTest, IsGoneWithItsFunction) {
  rig_.ReportUsage(5);
  rig_.Pass(3);
  rig_.cluster_.Remove(Rig::kKey);
  rig_.Settle();
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  EXPECT_FALSE(rig_.reconciler_.View(Rig::kKey)->status.usage.has_value());
}

}  // namespace
}  // namespace mayfly::op
