#include "gateway/metering/usage_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/testing/eventually.h"
#include "gateway/metering/usage_stream.h"

namespace mayfly::gateway {
namespace {

using base::Eventually;
using ::testing::HasSubstr;

// A sink that takes what it is told to.
class Memory {
 public:
  class Sink final : public UsageSink {
   public:
    explicit Sink(Memory& memory) : memory_(memory) {}
    absl::Status Append(const std::string& lines) override {
      const std::lock_guard lock(memory_.mutex_);
      ++memory_.attempts_;
      if (memory_.full_) return absl::UnavailableError("the disk is full");
      memory_.text_ += lines;
      return absl::OkStatus();
    }

   private:
    Memory& memory_;
  };

  void SetFull(bool full) {
    const std::lock_guard lock(mutex_);
    full_ = full;
  }
  int attempts() const {
    const std::lock_guard lock(mutex_);
    return attempts_;
  }
  std::vector<UsageRecord> Records() const {
    const std::lock_guard lock(mutex_);
    std::vector<UsageRecord> records;
    for (std::size_t begin = 0; begin < text_.size();) {
      const std::size_t end = text_.find('\n', begin);
      const auto record = ParseUsageRecord(text_.substr(begin, end - begin));
      EXPECT_TRUE(record.ok()) << record.status();
      if (record.ok()) records.push_back(*record);
      begin = end + 1;
    }
    return records;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;   // guarded by mutex_
  int attempts_ = 0;   // guarded by mutex_
  bool full_ = false;  // guarded by mutex_
};

class Function final : public UsageRecorder::Source {
 public:
  explicit Function(std::string name) : name_(std::move(name)) {}
  const std::string& function() const override { return name_; }
  std::vector<std::pair<std::string, UsageSums>> TakeCharges() override {
    const std::lock_guard lock(mutex_);
    told_ = false;
    std::vector<std::pair<std::string, UsageSums>> charges;
    for (auto& [trigger, sums] : std::exchange(charged_, {})) charges.emplace_back(trigger, sums);
    return charges;
  }
  // Whether the recorder is to be told.
  bool Charge(const std::string& trigger, std::uint64_t wall_us) {
    const std::lock_guard lock(mutex_);
    charged_[trigger] += {.invocations = 1, .wall_us = wall_us, .cpu_us = wall_us / 2, .memory_kb_ms = 3};
    return !std::exchange(told_, true);
  }

 private:
  const std::string name_;
  std::mutex mutex_;
  std::map<std::string, UsageSums> charged_;  // guarded by mutex_
  bool told_ = false;                         // guarded by mutex_
};

class UsageRecorderTest : public ::testing::Test {
 protected:
  UsageRecorderTest() { Start(); }
  void Start() {
    recorder_ = std::make_unique<UsageRecorder>(clock_, metrics_, "gw", "i1",
                                                std::make_unique<Memory::Sink>(memory_));
  }
  void Charge(const std::string& trigger, std::uint64_t wall_us) {
    if (function_->Charge(trigger, wall_us)) recorder_->MarkCharged(function_);
  }
  UsageSums Sum() const {
    UsageSums sum;
    for (const UsageRecord& record : memory_.Records()) sum += record.sums;
    return sum;
  }

  base::FakeClock clock_;
  base::Metrics metrics_;
  Memory memory_;
  std::shared_ptr<Function> function_ = std::make_shared<Function>("default/f");
  std::unique_ptr<UsageRecorder> recorder_;
};

TEST_F(UsageRecorderTest, WritesOneRecordForEachTriggerAndOnlyWhatIsNew) {
  Charge("http", 1000);
  Charge("http", 500);
  Charge("hook", 70);
  ASSERT_TRUE(recorder_->WriteNow().ok());
  ASSERT_EQ(memory_.Records().size(), 2u);
  EXPECT_EQ(memory_.Records()[1].trigger, "http");
  EXPECT_EQ(memory_.Records()[1].sums, (UsageSums{2, 1500, 750, 6}));
  Charge("hook", 30);
  ASSERT_TRUE(recorder_->WriteNow().ok());
  ASSERT_EQ(memory_.Records().size(), 3u);
  EXPECT_EQ(memory_.Records()[2].sums.wall_us, 30u);
  EXPECT_EQ(memory_.Records()[2].number, 3u);
  EXPECT_EQ(memory_.Records()[2].from_ms, memory_.Records()[0].until_ms)
      << "nothing lies between two records";
  ASSERT_TRUE(recorder_->WriteNow().ok());
  EXPECT_EQ(memory_.Records().size(), 3u) << "nothing was charged";
}

TEST_F(UsageRecorderTest, WritesByItselfASecondAfterACharge) {
  Charge("http", 1000);
  EXPECT_TRUE(Eventually([&] {
    clock_.Advance(std::chrono::milliseconds(100));
    return Sum().invocations == 1;
  }));
}

TEST_F(UsageRecorderTest, WritesWhatIsLeftWhenItEnds) {
  Charge("http", 1000);
  recorder_.reset();
  EXPECT_EQ(Sum().wall_us, 1000u);
}

TEST_F(UsageRecorderTest, KeepsWhatTheSinkRefusesAndGivesTheSameLinesAgain) {
  memory_.SetFull(true);
  Charge("http", 1000);
  EXPECT_FALSE(recorder_->WriteNow().ok());
  Charge("http", 500);
  EXPECT_FALSE(recorder_->WriteNow().ok());
  EXPECT_THAT(metrics_.Text(), HasSubstr("mayfly_usage_record_failures_total 2"));
  memory_.SetFull(false);
  ASSERT_TRUE(recorder_->WriteNow().ok());
  const std::vector<UsageRecord> records = memory_.Records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].sums.wall_us, 1000u);
  EXPECT_EQ(records[0].number, 1u) << "a reader that saw it before knows it";
  EXPECT_EQ(records[1].sums.wall_us, 500u);
}

TEST_F(UsageRecorderTest, TriesAgainByItself) {
  memory_.SetFull(true);
  Charge("http", 1000);
  EXPECT_TRUE(Eventually([&] {
    clock_.Advance(std::chrono::milliseconds(100));
    return memory_.attempts() >= 2;
  }));
  memory_.SetFull(false);
  EXPECT_TRUE(Eventually([&] {
    clock_.Advance(std::chrono::milliseconds(100));
    return Sum().invocations == 1;
  }));
}

TEST_F(UsageRecorderTest, LosesNothingWhileManyCharge) {
  constexpr int kThreads = 4;
  constexpr int kEach = 5000;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([this, i] {
        for (int k = 0; k < kEach; ++k) Charge("t" + std::to_string(i % 2), 3);
      });
    }
    std::atomic<bool> done{false};
    std::jthread writer([&] {
      while (!done) static_cast<void>(recorder_->WriteNow());
    });
    for (std::jthread& thread : threads) thread.join();
    done = true;
  }
  ASSERT_TRUE(recorder_->WriteNow().ok());
  EXPECT_EQ(Sum(),
            (UsageSums{kThreads * kEach, kThreads * kEach * 3, kThreads * kEach, kThreads * kEach * 3}));
}

TEST(UsageStream, GivesUpAPipeThatNobodyReadsAndGoesOnWhereItWas) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  UsageStream stream(ends[1]);
  const std::string lines(100'000, 'x');  // more than a pipe holds
  EXPECT_TRUE(absl::IsDeadlineExceeded(stream.Append(lines)));
  std::string read;
  std::jthread reader([&] {
    char buffer[4096];
    while (read.size() < lines.size()) {
      const ssize_t size = ::read(ends[0], buffer, sizeof buffer);
      if (size <= 0) return;
      read.append(buffer, static_cast<std::size_t>(size));
    }
  });
  EXPECT_TRUE(stream.Append(lines).ok());
  reader.join();
  EXPECT_EQ(read, lines);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace mayfly::gateway
