#include "gateway/sources/postgres/pg_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

constexpr base::MonotonicTime kNow{1'000s};

class PgWindowTest : public ::testing::Test {
 protected:
  // A transaction of `events`, committed at `commit`, that ends ten further on.
  void Read(Lsn commit, std::uint32_t events, bool to_its_end = true) {
    if (!window_.Begin(commit)) return;
    for (std::uint32_t n = 0; n < events; ++n) {
      const PgPlace place{commit, commit - 50, n};
      if (!window_.Wants(place)) continue;
      SourceEvent event;
      event.body = std::to_string(commit + n);
      window_.Add(place, std::move(event));
    }
    if (to_its_end) window_.Commit(commit + 10);
  }
  std::vector<SourceEvent> Take(std::size_t most = 1'000, base::MonotonicTime now = kNow) {
    return window_.Take(most, now);
  }
  void Done(const SourceEvent& event) { window_.Settle(event.token, true, kNow); }

  PgWindow window_{50};
};

TEST_F(PgWindowTest, ConfirmsInTheOrderOfCommits) {
  Read(100, 2);
  Read(200, 1);
  const auto events = Take();
  ASSERT_EQ(events.size(), 3u);
  Done(events[2]);
  Done(events[1]);
  EXPECT_EQ(window_.confirmed(), 50u);
  Done(events[0]);
  EXPECT_EQ(window_.confirmed(), 210u);
  EXPECT_EQ(window_.known(), 0u);
  EXPECT_EQ(window_.bytes(), 0u);
}

TEST_F(PgWindowTest, ConfirmsNothingOfATransactionThatIsNotWhole) {
  Read(100, 2, false);
  const auto events = Take();
  for (const SourceEvent& event : events) Done(event);
  window_.Reach(500);
  EXPECT_EQ(window_.confirmed(), 50u);
  EXPECT_EQ(window_.known(), 0u) << "what is done at its front needs no memory";
  window_.Commit(110);
  EXPECT_EQ(window_.confirmed(), 110u);
  window_.Reach(500);
  EXPECT_EQ(window_.confirmed(), 500u);
}

TEST_F(PgWindowTest, PassesOverWhatItKnowsWhenTheStreamIsReadAgain) {
  Read(100, 3);
  const auto events = Take(2);
  Done(events[1]);
  window_.Restart();
  Read(100, 3);
  EXPECT_EQ(window_.unsettled(), 2u);
  const auto rest = Take();
  ASSERT_EQ(rest.size(), 1u) << "one is held, one is done";
  EXPECT_EQ(rest[0].body, "102");
  Done(events[0]);
  Done(rest[0]);
  EXPECT_EQ(window_.confirmed(), 110u);
  EXPECT_FALSE(window_.Begin(100)) << "it is past";
}

TEST_F(PgWindowTest, GivesWhatIsReleasedOutAgainAfterAPause) {
  Read(100, 2);
  const auto events = Take();
  window_.Settle(events[0].token, false, kNow);
  EXPECT_TRUE(Take().empty());
  const auto at = window_.NextRelease();
  ASSERT_TRUE(at);
  const auto again = Take(10, *at);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].body, "100");
  EXPECT_NE(again[0].token, events[0].token);
  EXPECT_EQ(again[0].deliveries, 2u);
  Done(events[0]);  // its token is no more
  EXPECT_EQ(window_.confirmed(), 50u);
}

TEST_F(PgWindowTest, RemembersOnlyWhatIsDoneWhenItIsHandedOn) {
  Read(100, 3);
  const auto events = Take();
  Done(events[1]);
  window_.LetGo();
  EXPECT_EQ(window_.unsettled(), 0u);
  EXPECT_EQ(window_.bytes(), 0u);
  Done(events[0]);
  EXPECT_EQ(window_.confirmed(), 50u);
  Read(100, 3);
  const auto again = Take();
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].body, "100");
  EXPECT_EQ(again[1].body, "102");
}

TEST_F(PgWindowTest, ForgetsWhatSomebodyElseHasConfirmed) {
  Read(100, 2);
  Read(200, 1);
  const auto events = Take(1);
  window_.Advance(110);
  EXPECT_EQ(window_.confirmed(), 110u);
  EXPECT_EQ(window_.unsettled(), 1u);
  Done(events[0]);
  const auto rest = Take();
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].body, "200");
}

// Whatever happens: nothing that is not done is confirmed, and in the end all is.
TEST_F(PgWindowTest, KeepsItsWordOverRandomHistories) {
  std::mt19937 random(static_cast<std::uint32_t>(::testing::UnitTest::GetInstance()->random_seed()));
  constexpr Lsn kTransactions = 60;
  for (int round = 0; round < 50; ++round) {
    window_ = PgWindow(50);
    std::set<std::string> done;
    std::vector<SourceEvent> held;
    Lsn next = 1;
    base::MonotonicTime now = kNow;
    const auto events_of = [](Lsn transaction) { return static_cast<std::uint32_t>(transaction % 4); };
    while (window_.confirmed() < kTransactions * 100 + 10) {
      now += 50ms;
      switch (random() % 6) {
        case 0:
        case 1:
          if (next <= kTransactions) {
            Read(next * 100, events_of(next));
            ++next;
          }
          break;
        case 2:
          for (SourceEvent& event : Take(random() % 8, now)) {
            EXPECT_FALSE(done.contains(event.body)) << event.body << " comes again";
            held.push_back(std::move(event));
          }
          break;
        case 3:
          if (random() % 8 != 0) break;
          window_.Restart();
          next = 1;
          break;
        default:
          if (held.empty()) break;
          const std::size_t n = random() % held.size();
          const bool is_done = random() % 4 != 0;
          if (is_done) done.insert(held[n].body);
          window_.Settle(held[n].token, is_done, now);
          held.erase(held.begin() + static_cast<std::ptrdiff_t>(n));
      }
      for (Lsn t = 1; t <= kTransactions && t * 100 < window_.confirmed(); ++t) {
        for (std::uint32_t n = 0; n < events_of(t); ++n)
          ASSERT_TRUE(done.contains(std::to_string(t * 100 + n))) << "confirmed and not done";
      }
    }
    EXPECT_EQ(window_.known(), 0u);
    EXPECT_EQ(window_.bytes(), 0u);
  }
}

}  // namespace
}  // namespace mayfly::gateway
