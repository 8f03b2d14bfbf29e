#include "gateway/delivery/lease_keeper.h"

#include <gtest/gtest.h>

#include <string>

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

const TriggerKey kKey{"default/f", "rows"};

class LeaseKeeperTest : public testing::Test {
 protected:
  LeaseKeeperTest() {
    keeper_.SetName("a", "i", 100);
    keeper_.Ask();
  }

  static v1::EventTrigger Leased(std::uint64_t epoch, const std::string& owner = "a",
                                 const std::string& instance = "i") {
    v1::EventTrigger trigger;
    trigger.set_epoch(epoch);
    trigger.set_owner(owner);
    trigger.set_owner_instance(instance);
    return trigger;
  }
  void Hear(std::uint64_t operator_epoch, std::uint64_t version, std::uint64_t probe) {
    v1::RouteUpdate update;
    update.set_epoch(operator_epoch);
    update.set_version(version);
    if (probe != 0) {
      update.mutable_lease()->set_probe(probe);
      update.mutable_lease()->set_valid_ms(2'900);
    }
    keeper_.OnUpdate(update, now_);
  }
  std::uint64_t Probe() {
    const auto news = keeper_.Tell(now_);
    return news ? news->probe : 0;
  }

  base::MonotonicTime now_{1h};
  LeaseKeeper keeper_;
};

TEST_F(LeaseKeeperTest, CountsTheTermFromWhenItAsked) {
  const std::uint64_t probe = Probe();
  const base::MonotonicTime asked = now_;
  now_ += 1s;
  Hear(1, 1, probe);
  EXPECT_EQ(keeper_.until(), asked + 2900ms);
  EXPECT_TRUE(keeper_.TermRuns(asked + 2899ms));
  EXPECT_FALSE(keeper_.TermRuns(asked + 2900ms));
}

TEST_F(LeaseKeeperTest, AsksOnceASecondAndWheneverWhatItHasChanges) {
  EXPECT_NE(Probe(), 0u);
  EXPECT_EQ(keeper_.Next(), now_ + 1s);
  EXPECT_FALSE(keeper_.Tell(now_));
  now_ += 1s;
  Hear(1, 1, Probe());
  keeper_.Begun(kKey, 7);
  const auto news = keeper_.Tell(now_);
  ASSERT_TRUE(news);
  EXPECT_NE(news->probe, 0u);
  ASSERT_EQ(news->held.leases_size(), 1);
  EXPECT_EQ(news->held.leases(0).epoch(), 7u);
  EXPECT_EQ(news->held.version(), 1u);
  keeper_.StopAsking();
  keeper_.Ended(kKey);
  EXPECT_EQ(Probe(), 0u);
  EXPECT_EQ(keeper_.Next(), std::nullopt);
}

TEST_F(LeaseKeeperTest, BeginsWhatIsItsOwnWithinATerm) {
  EXPECT_TRUE(keeper_.MayBegin(kKey, Leased(0, ""), now_)) << "nobody leases it";
  Hear(1, 1, 0);
  EXPECT_FALSE(keeper_.MayBegin(kKey, Leased(5), now_)) << "there is no term yet";
  Hear(1, 2, Probe());
  EXPECT_TRUE(keeper_.MayBegin(kKey, Leased(5), now_));
  EXPECT_FALSE(keeper_.MayBegin(kKey, Leased(5, "b"), now_));
  EXPECT_FALSE(keeper_.MayBegin(kKey, Leased(5, "a", "before"), now_)) << "another process had this name";
  EXPECT_FALSE(keeper_.MayBegin(kKey, Leased(5, ""), now_)) << "it is nobody's now";
  now_ += 3s;
  EXPECT_FALSE(keeper_.MayBegin(kKey, Leased(5), now_)) << "the term is over";
}

TEST_F(LeaseKeeperTest, BeginsNothingByRoutesOfAnOperatorThatIsNotTheTerms) {
  Hear(1, 1, Probe());
  now_ += 1s;
  Hear(2, 0, Probe());
  EXPECT_FALSE(keeper_.MayBegin(kKey, Leased(5), now_));
  Hear(2, 1, 0);
  EXPECT_TRUE(keeper_.MayBegin(kKey, Leased(5), now_));
}

TEST_F(LeaseKeeperTest, TakesNoTermOfAnotherOperatorThatDoesNotKnowWhatWasBegunSince) {
  Hear(1, 1, Probe());
  now_ += 1s;
  const std::uint64_t before = Probe();
  const base::MonotonicTime until = keeper_.until();
  keeper_.Begun(kKey, 5);
  Hear(2, 0, before);
  EXPECT_EQ(keeper_.until(), until);
  Hear(2, 0, Probe());
  EXPECT_GT(keeper_.until(), until);
}

TEST_F(LeaseKeeperTest, BeginsNoEpochThatItHasLost) {
  Hear(1, 1, Probe());
  keeper_.Begun(kKey, 5);
  keeper_.Lost(kKey);
  EXPECT_TRUE(keeper_.held().empty());
  EXPECT_FALSE(keeper_.MayBegin(kKey, Leased(5), now_));
  EXPECT_TRUE(keeper_.MayBegin(kKey, Leased(6), now_));
}

TEST_F(LeaseKeeperTest, TakesAnAnswerToNothingItAskedForNoTerm) {
  Hear(1, 1, 42);
  EXPECT_FALSE(keeper_.TermRuns(now_));
  const std::uint64_t probe = Probe();
  now_ += 11s;
  Hear(1, 2, probe);
  EXPECT_FALSE(keeper_.TermRuns(now_));
}

}  // namespace
}  // namespace mayfly::gateway
