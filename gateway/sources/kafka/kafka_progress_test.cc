#include "gateway/sources/kafka/kafka_progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace mayfly::gateway {
namespace {

using Arrival = KafkaProgress::Arrival;
using ::testing::ElementsAre;

// Those of [begin, end) that whoever goes on with `offset` and `note` would push.
std::vector<std::int64_t> Pushed(std::int64_t offset, const std::string& note, std::int64_t end) {
  KafkaProgress progress(offset, note);
  std::vector<std::int64_t> pushed;
  for (std::int64_t i = offset; i < end; ++i) {
    if (progress.Arrive(i) == Arrival::kNew) pushed.push_back(i);
  }
  return pushed;
}

TEST(KafkaProgress, CommitsTheLowestOffsetThatIsNotSettled) {
  KafkaProgress progress(10);
  for (int i = 10; i < 15; ++i) EXPECT_EQ(progress.Arrive(i), Arrival::kNew);
  EXPECT_EQ(progress.offset(), 10);
  progress.Settle(11);
  progress.Settle(12);
  EXPECT_EQ(progress.offset(), 10);
  progress.Settle(10);
  EXPECT_EQ(progress.offset(), 13);
  progress.Settle(13);
  progress.Settle(14);
  EXPECT_EQ(progress.offset(), 15);
  EXPECT_EQ(progress.Note(), "");
  EXPECT_EQ(progress.unsettled(), 0u);
}

TEST(KafkaProgress, NotesWhatIsSettledBeyondIt) {
  KafkaProgress progress(100);
  for (int i = 100; i < 110; ++i) progress.Arrive(i);
  for (const int i : {102, 103, 105}) progress.Settle(i);
  EXPECT_EQ(progress.offset(), 100);
  EXPECT_EQ(progress.Note(), "mayfly:1:2,2,1,1");
  EXPECT_THAT(Pushed(progress.offset(), progress.Note(), 112),
              ElementsAre(100, 101, 104, 106, 107, 108, 109, 110, 111));
}

TEST(KafkaProgress, TakesNotesOfOthersForNothing) {
  for (const char* note :
       {"", "hello", "mayfly:1:", "mayfly:1:0,3", "mayfly:1:1,x", "mayfly:2:1,1", "mayfly:1:99999999999"})
    EXPECT_THAT(Pushed(5, note, 8), ElementsAre(5, 6, 7)) << note;
}

TEST(KafkaProgress, PassesOverWhatIsNotThereAnyMore) {
  KafkaProgress progress(0, "mayfly:1:3,2");
  // 0 to 2 were compacted away meanwhile.
  EXPECT_EQ(progress.Arrive(7), Arrival::kNew);
  EXPECT_EQ(progress.offset(), 7);
  progress.Settle(7);
  EXPECT_EQ(progress.offset(), 8);
  // A transaction's mark, which is nobody's message.
  progress.ReachEnd(9);
  EXPECT_EQ(progress.offset(), 9);
}

TEST(KafkaProgress, NoticesThatOffsetsBeginAnew) {
  KafkaProgress progress(5);
  EXPECT_EQ(progress.Arrive(5), Arrival::kNew);
  EXPECT_EQ(progress.Arrive(6), Arrival::kNew);
  EXPECT_EQ(progress.Arrive(0), Arrival::kReplaced);
}

TEST(KafkaProgress, ReadsAgainWhatWasInFlightAfterARewind) {
  KafkaProgress progress(0);
  for (int i = 0; i < 4; ++i) progress.Arrive(i);
  progress.Settle(1);
  progress.Rewind();
  EXPECT_EQ(progress.Arrive(0), Arrival::kNew);
  EXPECT_EQ(progress.Arrive(1), Arrival::kHad);
  // Settled late, by whoever had it before.
  progress.Settle(2);
  EXPECT_EQ(progress.Arrive(2), Arrival::kHad);
  EXPECT_EQ(progress.Arrive(3), Arrival::kNew);
}

TEST(KafkaProgress, AddsWhatAnotherKnows) {
  KafkaProgress known(0);
  for (int i = 0; i < 6; ++i) known.Arrive(i);
  for (const int i : {0, 1, 4}) known.Settle(i);
  KafkaProgress progress(1, "mayfly:1:2,1,1,4");  // settled: 3, and 5 to 8
  progress.Merge(known);
  progress.Rewind();
  EXPECT_EQ(progress.offset(), 2);
  EXPECT_EQ(progress.next(), 9);
  EXPECT_EQ(progress.unsettled(), 1u);
}

TEST(KafkaProgress, KeepsItsNoteShortAndLosesNothingByIt) {
  KafkaProgress progress(0);
  std::set<std::int64_t> open;
  for (int i = 0; i < 20'000; ++i) {
    progress.Arrive(i);
    if (i % 2 == 0) {
      open.insert(i);
    } else {
      progress.Settle(i);
    }
  }
  const std::string note = progress.Note();
  EXPECT_LE(note.size(), 2'000u);
  const std::vector<std::int64_t> pushed = Pushed(progress.offset(), note, 20'000);
  EXPECT_LT(pushed.size(), 20'000u) << "some are known";
  for (const std::int64_t offset : pushed) open.erase(offset);
  EXPECT_THAT(open, ::testing::IsEmpty());
}

TEST(KafkaProgress, HandsAllOverAtRandom) {
  std::mt19937 random(static_cast<std::uint32_t>(::testing::UnitTest::GetInstance()->random_seed()));
  for (int round = 0; round < 300; ++round) {
    KafkaProgress progress(0);
    std::set<std::int64_t> open;
    std::int64_t next = 0;
    for (int step = 0; step < 200; ++step) {
      if (random() % 2 == 0) {
        next += 1 + (random() % 10 == 0 ? random() % 3 : 0);  // with gaps
        progress.Arrive(next);
        open.insert(next);
      } else if (!open.empty()) {
        auto settled = open.begin();
        std::advance(settled, random() % open.size());
        progress.Settle(*settled);
        open.erase(settled);
      }
    }
    const std::vector<std::int64_t> pushed = Pushed(progress.offset(), progress.Note(), next + 1);
    EXPECT_EQ(progress.offset(), open.empty() ? std::max<std::int64_t>(progress.next(), 0) : *open.begin());
    std::set<std::int64_t> left = open;
    for (const std::int64_t offset : pushed) {
      left.erase(offset);
    }
    EXPECT_THAT(left, ::testing::IsEmpty()) << progress.Note();
  }
}

}  // namespace
}  // namespace mayfly::gateway
