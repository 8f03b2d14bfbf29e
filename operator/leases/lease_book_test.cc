#include "operator/leases/lease_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kF = "default/f";

class LeaseBookTest : public testing::Test {
 protected:
  LeaseBookTest() { Begin(1, 0ms); }

  void Begin(std::uint64_t epoch, std::chrono::milliseconds quiet) {
    LeaseOptions options;
    options.epoch = epoch;
    options.quiet = quiet;
    epoch_ = epoch;
    book_ = std::make_unique<LeaseBook>(options, now_);
  }

  // What `gateway` says with a probe: that it has `held`, as of `version`.
  v1::GatewayReport Says(const std::string& gateway, const std::map<std::string, std::uint64_t>& held = {},
                         std::uint64_t version = 0, const std::string& instance = "i") const {
    v1::GatewayReport report;
    report.set_gateway(gateway);
    report.set_instance(instance);
    report.set_lease_probe(7);
    report.mutable_leases()->set_epoch(epoch_);
    report.mutable_leases()->set_version(version);
    for (const auto& [trigger, epoch] : held) {
      v1::HeldLease& lease = *report.mutable_leases()->add_leases();
      lease.set_function(kF);
      lease.set_trigger(trigger);
      lease.set_epoch(epoch);
    }
    return report;
  }
  void Hear(const v1::GatewayReport& report) {
    book_->Observe(report, now_);
    Decide();
  }
  void Decide() {
    if (!book_->Decide(now_).empty()) Publish();
  }
  void Publish() {
    book_->Stamped(kF);
    book_->Published(kF, ++version_);
  }
  std::string OwnerOf(const std::string& trigger) const {
    const TriggerLease lease = book_->Of({kF, trigger});
    return lease.owner ? lease.owner->gateway : "";
  }
  std::uint64_t EpochOf(const std::string& trigger) const { return book_->Of({kF, trigger}).epoch; }

  base::MonotonicTime now_{1h};
  std::uint64_t epoch_ = 1;
  std::uint64_t version_ = 0;
  std::unique_ptr<LeaseBook> book_;
};

TEST_F(LeaseBookTest, GivesATriggerToWhoHasFewest) {
  Hear(Says("a"));
  Hear(Says("b"));
  book_->Want(kF, {"1", "2", "3", "4"});
  Decide();
  EXPECT_EQ(OwnerOf("1"), "a");
  EXPECT_EQ(OwnerOf("2"), "b");
  EXPECT_EQ(OwnerOf("3"), "a");
  EXPECT_EQ(OwnerOf("4"), "b");
}

TEST_F(LeaseBookTest, TellsAGatewayLessThanItCountsItself) {
  const auto term = book_->Observe(Says("a"), now_);
  ASSERT_TRUE(term);
  EXPECT_EQ(term->probe(), 7u);
  EXPECT_LT(std::chrono::milliseconds(term->valid_ms()), book_->options().term);
  v1::GatewayReport of_demand;
  of_demand.set_gateway("a");
  EXPECT_FALSE(book_->Observe(of_demand, now_));
}

TEST_F(LeaseBookTest, GivesNothingToWhoNeverAsked) {
  v1::GatewayReport report = Says("a");
  report.set_lease_probe(0);
  book_->Want(kF, {"1"});
  Hear(report);
  EXPECT_EQ(OwnerOf("1"), "");
  EXPECT_GT(EpochOf("1"), 0u) << "it is leased, if to nobody yet";
}

TEST_F(LeaseBookTest, LetsAnOwnerKeepItsTriggersWhileItsTermRuns) {
  book_->Want(kF, {"1"});
  Hear(Says("a"));
  const std::uint64_t epoch = EpochOf("1");
  Hear(Says("b"));
  for (int second = 0; second < 60; ++second) {
    now_ += 1s;
    Hear(Says("a", {{"1", epoch}}, version_));
    Hear(Says("b", {}, version_));
    book_->Balance(now_);
    Decide();
    ASSERT_EQ(OwnerOf("1"), "a");
    ASSERT_EQ(EpochOf("1"), epoch);
  }
}

TEST_F(LeaseBookTest, GivesATriggerAwayOnceItsOwnersTermIsOverAndNotBefore) {
  book_->Want(kF, {"1"});
  Hear(Says("a"));
  const std::uint64_t epoch = EpochOf("1");
  for (int i = 0; i < 29; ++i) {
    now_ += 100ms;
    Hear(Says("b", {}, version_));
    ASSERT_EQ(OwnerOf("1"), "a");
  }
  EXPECT_EQ(book_->Next(), now_ + 100ms);
  now_ += 100ms;
  Decide();
  EXPECT_EQ(OwnerOf("1"), "b");
  EXPECT_GT(EpochOf("1"), epoch);
  const std::vector<LeaseChange> changes = book_->TakeChanges();
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[1].from->gateway, "a");
  EXPECT_TRUE(changes[1].lapsed);
}

TEST_F(LeaseBookTest, GivesATriggerAwayAtOnceWhenItsOwnerLeavesOrLetsGo) {
  book_->Want(kF, {"1"});
  Hear(Says("a"));
  Hear(Says("b"));
  Hear(Says("a", {{"1", EpochOf("1")}}, version_));
  // It ends, asks for no more terms, and has let go of it.
  v1::GatewayReport ending = Says("a", {}, version_);
  ending.set_lease_probe(0);
  Hear(ending);
  EXPECT_EQ(OwnerOf("1"), "b");
  v1::GatewayReport leaving = Says("b");
  leaving.set_leaving(true);
  Hear(leaving);
  EXPECT_EQ(OwnerOf("1"), "") << "the other one has said that it ends";
}

TEST_F(LeaseBookTest, TakesAnAnswerOfBeforeTheTriggerWasGivenForNoAnswer) {
  Hear(Says("a"));
  book_->Want(kF, {"1"});
  Decide();
  const std::uint64_t epoch = EpochOf("1");
  Hear(Says("a", {}, version_ - 1));
  EXPECT_EQ(EpochOf("1"), epoch) << "it has not heard of it yet";
  Hear(Says("a", {}, version_));
  EXPECT_GT(EpochOf("1"), epoch) << "it has refused it, and gets it anew";
}

TEST_F(LeaseBookTest, HasATriggerThatWasDeletedAndMadeAgainEndedBeforeItIsGivenOut) {
  book_->Want(kF, {"1"});
  Hear(Says("a"));
  const std::uint64_t epoch = EpochOf("1");
  Hear(Says("a", {{"1", epoch}}, version_));
  Hear(Says("b"));
  book_->Want(kF, {});
  Publish();
  book_->Want(kF, {"1"});
  Publish();
  Decide();
  EXPECT_EQ(OwnerOf("1"), "");
  Hear(Says("a", {{"1", epoch}}, version_));
  EXPECT_EQ(OwnerOf("1"), "") << "it still ends there";
  Hear(Says("a", {}, version_));
  EXPECT_NE(OwnerOf("1"), "");
  EXPECT_GT(EpochOf("1"), epoch);
}

TEST_F(LeaseBookTest, DoesNotTakeForRefusedWhatWasGivenAfterTheRouteWasWritten) {
  book_->Want(kF, {"1"});
  book_->Stamped(kF);  // to nobody
  book_->Observe(Says("a"), now_);
  book_->Decide(now_);
  const std::uint64_t epoch = EpochOf("1");
  book_->Published(kF, ++version_);
  Hear(Says("a", {}, version_));
  EXPECT_EQ(EpochOf("1"), epoch) << "that update does not say that it is a's";
  Publish();
  Hear(Says("a", {}, version_));
  EXPECT_GT(EpochOf("1"), epoch);
}

TEST_F(LeaseBookTest, KeepsTwoProcessesOfOneNameApart) {
  book_->Want(kF, {"1"});
  Hear(Says("a"));
  const std::uint64_t epoch = EpochOf("1");
  Hear(Says("a", {}, version_, "another"));
  EXPECT_EQ(EpochOf("1"), epoch) << "the one before may only be cut off";
  now_ += 2s;
  Hear(Says("a", {}, version_, "another"));
  now_ += 1s;
  Decide();
  EXPECT_EQ(book_->Of({kF, "1"}).owner->instance, "another");
}

TEST_F(LeaseBookTest, GivesNothingOutWhileTermsOfAnOperatorBeforeMayRun) {
  Begin(2, 3s);
  book_->Want(kF, {"1"});
  Hear(Says("a"));
  EXPECT_EQ(OwnerOf("1"), "");
  now_ += 2999ms;
  Hear(Says("a"));
  EXPECT_EQ(OwnerOf("1"), "");
  now_ += 1ms;
  Decide();
  EXPECT_EQ(OwnerOf("1"), "a");
  EXPECT_GT(EpochOf("1"), std::uint64_t{2} << 32) << "higher than any of the operator before";
}

TEST_F(LeaseBookTest, LeavesATriggerAfterAStartWithWhoSaysThatHeHasIt) {
  const std::uint64_t before = (std::uint64_t{1} << 32) + 5;
  Begin(2, 3s);
  v1::GatewayReport first = Says("b", {{"1", before}});
  first.mutable_leases()->set_epoch(1);
  Hear(first);
  book_->Want(kF, {"1", "2"});
  Hear(Says("a"));
  EXPECT_EQ(OwnerOf("1"), "b");
  EXPECT_EQ(EpochOf("1"), before) << "its source need not begin anew";
  now_ += 2s;
  Hear(Says("a"));
  Hear(Says("b", {{"1", before}}, version_));
  now_ += 1s;
  Decide();
  EXPECT_EQ(OwnerOf("1"), "b");
  EXPECT_EQ(OwnerOf("2"), "a");
}

TEST_F(LeaseBookTest, BelievesTheNewerOfTwoThatSayTheyHaveATrigger) {
  const std::uint64_t old = (std::uint64_t{1} << 32) + 5;
  Begin(2, 3s);
  book_->Want(kF, {"1"});
  Hear(Says("a", {{"1", old}}));
  Hear(Says("b", {{"1", old + 1}}));
  EXPECT_EQ(OwnerOf("1"), "b");
  Hear(Says("a", {{"1", old}}, version_));
  EXPECT_EQ(OwnerOf("1"), "b");
}

TEST_F(LeaseBookTest, LeavesATriggerWithWhoWasOutOfReachIfNobodyElseCouldHaveIt) {
  book_->Want(kF, {"1"});
  Hear(Says("a"));
  const std::uint64_t epoch = EpochOf("1");
  now_ += 10s;
  Decide();
  EXPECT_EQ(OwnerOf("1"), "");
  Hear(Says("a", {{"1", epoch}}, version_));
  EXPECT_EQ(OwnerOf("1"), "a");
  EXPECT_EQ(EpochOf("1"), epoch);
}

TEST_F(LeaseBookTest, RefusesWhatAnOldOwnerSaysOnceAnotherHasIt) {
  book_->Want(kF, {"1"});
  Hear(Says("a"));
  const std::uint64_t old = EpochOf("1");
  now_ += 3s;
  Hear(Says("b"));
  const std::uint64_t epoch = EpochOf("1");
  v1::GatewayReport late = Says("a", {{"1", old}}, version_);
  v1::TriggerReport& report = *late.add_triggers();
  report.set_function(kF);
  report.set_trigger("1");
  report.set_epoch(old);
  report.set_cursor("late");
  Hear(late);
  EXPECT_EQ(OwnerOf("1"), "b");
  EXPECT_EQ(EpochOf("1"), epoch);
  now_ += 3s;
  Hear(Says("c"));
  EXPECT_EQ(OwnerOf("1"), "c");
  EXPECT_EQ(book_->Of({kF, "1"}).cursor, "");
}

TEST_F(LeaseBookTest, HandsTheOwnersPlaceToTheNextOne) {
  book_->Want(kF, {"1"});
  Hear(Says("a"));
  v1::GatewayReport says = Says("a", {{"1", EpochOf("1")}}, version_);
  v1::TriggerReport& report = *says.add_triggers();
  report.set_function(kF);
  report.set_trigger("1");
  report.set_epoch(EpochOf("1"));
  report.set_cursor("12:00");
  Hear(says);
  EXPECT_EQ(book_->Of({kF, "1"}).cursor, "") << "the owner knows its own";
  now_ += 3s;
  Hear(Says("b"));
  EXPECT_EQ(book_->Of({kF, "1"}).cursor, "12:00");
}

TEST_F(LeaseBookTest, TakesOneAtATimeFromWhoHasTwoMoreAndOnlyWhatIsAtRest) {
  Hear(Says("a"));
  book_->Want(kF, {"1", "2", "3"});
  Decide();
  const auto hear_a = [this](const std::vector<std::string>& has) {
    std::map<std::string, std::uint64_t> held;
    for (const std::string& trigger : has) held[trigger] = EpochOf(trigger);
    v1::GatewayReport says = Says("a", held, version_);
    v1::TriggerReport& busy = *says.add_triggers();
    busy.set_function(kF);
    busy.set_trigger("1");
    busy.set_epoch(EpochOf("1"));
    busy.set_unsettled(1);
    Hear(says);
    Hear(Says("b", {}, version_));
  };
  for (int second = 0; second < 35; ++second) {
    now_ += 1s;
    hear_a({"1", "2", "3"});
    book_->Balance(now_);
    Decide();
    if (second < 29) {
      ASSERT_EQ(OwnerOf("2"), "a") << "somebody has come just now";
    }
  }
  EXPECT_EQ(OwnerOf("1"), "a");
  EXPECT_EQ(OwnerOf("2"), "") << "until it has let go";
  EXPECT_EQ(OwnerOf("3"), "a");
  hear_a({"1", "3"});
  EXPECT_EQ(OwnerOf("2"), "b");
  EXPECT_EQ(book_->TakeChanges().back().lapsed, false);
  book_->Balance(now_);
  Decide();
  EXPECT_EQ(OwnerOf("3"), "a") << "nobody has two more";
}

TEST_F(LeaseBookTest, ForgetsWhatIsDeletedAndWhoIsGone) {
  book_->Want(kF, {"1"});
  Hear(Says("a"));
  EXPECT_EQ(book_->owned(), 1u);
  book_->Want(kF, {});
  Publish();
  Hear(Says("a", {}, version_));
  EXPECT_EQ(book_->owned(), 0u);
  EXPECT_EQ(book_->unowned(), 0u);
  now_ += 3s;
  EXPECT_THAT(book_->Decide(now_), IsEmpty());
  EXPECT_EQ(book_->Next(), base::MonotonicTime::max());
}

}  // namespace
}  // namespace mayfly::op
