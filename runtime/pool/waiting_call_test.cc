// Short calls that wait at a worker behind the one that it runs: whatever that one does costs them nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "runtime/pool/worker_pool_testing.h"

namespace mayfly::runtime {
namespace {

class WaitingCallTest : public WorkerPoolTest {
 protected:
  static constexpr int kWaiting = 5;
  using Sinks = std::vector<std::shared_ptr<TestSink>>;

  WaitingCallTest() {
    PoolOptions options = TestOptions("waits");
    options.slots = 16;
    options.busy_before_waiting = 1;
    Open(std::move(options));
  }

  // One call does `what`, and others come while it does; until some of them had to wait behind it.
  std::shared_ptr<TestSink> BeginWithOthersBehind(const std::string& what, std::uint32_t timeout_ms,
                                                  Sinks& others) {
    std::shared_ptr<TestSink> first;
    const bool waited = Eventually([&] {
      // The pool has to have seen that the function's calls are short.
      for (int i = 0; i < 32; ++i) Run("", "short");
      const std::uint64_t before = pool_->State().waited;
      first = Begin("", what, timeout_ms);
      first_call_ = last_call_;
      others.clear();
      for (int i = 0; i < kWaiting; ++i) others.push_back(Begin("", std::to_string(i)));
      if (pool_->State().waited > before) return true;
      first_call_->Cancel();
      EXPECT_TRUE(first->Wait());
      for (const auto& other : others) EXPECT_TRUE(other->Wait());
      return false;
    });
    EXPECT_TRUE(waited) << "no call ever waited";
    return first;
  }
  static void ExpectTheirAnswers(const Sinks& others) {
    for (int i = 0; i < kWaiting; ++i) {
      const auto& sink = others[static_cast<std::size_t>(i)];
      ASSERT_TRUE(sink->Wait());
      EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_OK) << sink->result().ShortDebugString();
      EXPECT_EQ(sink->body(), std::to_string(i));
      EXPECT_EQ(sink->results(), 1);
    }
  }

  std::shared_ptr<PoolCall> first_call_;
};

TEST_F(WaitingCallTest, GoesToAWorkerOfItsOwnIfTheOneBeforeIsNotShort) {
  Sinks others;
  const auto slow = BeginWithOthersBehind("sleep", 10'000, others);
  ExpectTheirAnswers(others);
  EXPECT_EQ(slow->results(), 0) << "what came later waited for what came first";
  ASSERT_TRUE(slow->Wait());
  EXPECT_EQ(slow->body(), "sleep");
  EXPECT_GT(pool_->State().taken_back, 0u);
}

TEST_F(WaitingCallTest, SurvivesACrashOfTheOneBefore) {
  Sinks others;
  const auto crash = BeginWithOthersBehind("segv", 10'000, others);
  ExpectTheirAnswers(others);
  ASSERT_TRUE(crash->Wait());
  EXPECT_EQ(crash->result().outcome(), v1::OUTCOME_CRASHED);
}

TEST_F(WaitingCallTest, SurvivesThatTheOneBeforeIsStoppedAtItsDeadline) {
  Sinks others;
  const auto loop = BeginWithOthersBehind("loop", 1, others);
  ExpectTheirAnswers(others);
  ASSERT_TRUE(loop->Wait());
  EXPECT_TRUE(loop->result().outcome() == v1::OUTCOME_TIMED_OUT ||
              loop->result().outcome() == v1::OUTCOME_NOT_STARTED)
      << loop->result().ShortDebugString();
}

TEST_F(WaitingCallTest, SurvivesThatTheOneBeforeIsCancelled) {
  Sinks others;
  const auto loop = BeginWithOthersBehind("loop", 10'000, others);
  first_call_->Cancel();
  ExpectTheirAnswers(others);
  ASSERT_TRUE(loop->Wait());
  EXPECT_EQ(loop->result().outcome(), v1::OUTCOME_CANCELLED);
}

TEST_F(WaitingCallTest, IsNotRunByAWorkerThatMustEndForTheChildrenOfTheOneBefore) {
  Sinks others;
  const auto forks = BeginWithOthersBehind("fork", 10'000, others);
  ExpectTheirAnswers(others);
  ASSERT_TRUE(forks->Wait());
  EXPECT_EQ(forks->body(), "fork");
}

TEST_F(WaitingCallTest, SurvivesThatTheOneBeforeWritesOverTheChannel) {
  bool lost = false;
  for (int round = 0; round < 20 && !lost; ++round) {
    Sinks others;
    const auto trash = BeginWithOthersBehind("trash", 10'000, others);
    for (int i = 0; i < kWaiting; ++i) {
      const auto& sink = others[static_cast<std::size_t>(i)];
      ASSERT_TRUE(sink->Wait());
      EXPECT_EQ(sink->results(), 1);
      // One that was given in the very moment of the writing may have been begun; after that none waits for a while.
      lost = lost || sink->result().problem().reason() == "WorkerLost";
      if (!lost) {
        EXPECT_EQ(sink->body(), std::to_string(i)) << sink->result().ShortDebugString();
      }
    }
    ASSERT_TRUE(trash->Wait());
    EXPECT_EQ(trash->result().outcome(), v1::OUTCOME_BAD_ANSWER) << trash->result().ShortDebugString();
    EXPECT_THAT(trash->result().problem().message(), testing::HasSubstr("the handler wrote over"));
  }
}

// A handler can do all that its worker can, so also take what waits: then nobody knows whether it was begun.
TEST_F(WaitingCallTest, IsToldTheTruthIfTheOneBeforeSaysThatItWasBegun) {
  int lost = 0;
  for (int round = 0; round < 50 && lost == 0; ++round) {
    Sinks others;
    const auto mark = BeginWithOthersBehind("mark", 10'000, others);
    for (int i = 0; i < kWaiting; ++i) {
      const auto& sink = others[static_cast<std::size_t>(i)];
      ASSERT_TRUE(sink->Wait());
      EXPECT_EQ(sink->results(), 1);
      if (sink->result().outcome() == v1::OUTCOME_OK) {
        EXPECT_EQ(sink->body(), std::to_string(i));
        continue;
      }
      ++lost;
      EXPECT_EQ(sink->result().problem().reason(), "WorkerLost") << sink->result().ShortDebugString();
      EXPECT_EQ(sink->result().problem().component(), "worker");
      EXPECT_THAT(sink->result().problem().message(), testing::HasSubstr("may have begun or not"));
    }
    ASSERT_TRUE(mark->Wait());
    EXPECT_EQ(mark->result().outcome(), v1::OUTCOME_CRASHED) << mark->result().ShortDebugString();
  }
  ASSERT_GT(lost, 0);
  // Once is enough: none waits for a while.
  const std::uint64_t before = pool_->State().waited;
  for (int round = 0; round < 20; ++round) {
    const auto first = Begin("", "mark");
    Sinks others;
    for (int i = 0; i < kWaiting; ++i) others.push_back(Begin("", std::to_string(i)));
    ExpectTheirAnswers(others);
    ASSERT_TRUE(first->Wait());
  }
  EXPECT_EQ(pool_->State().waited, before);
}

TEST_F(WaitingCallTest, CanBeCancelled) {
  Sinks others;
  const auto slow = BeginWithOthersBehind("sleep", 10'000, others);
  last_call_->Cancel();
  ASSERT_TRUE(others.back()->Wait());
  EXPECT_EQ(others.back()->results(), 1);
  const auto outcome = others.back()->result().outcome();
  EXPECT_TRUE(outcome == v1::OUTCOME_CANCELLED || outcome == v1::OUTCOME_OK);
  ASSERT_TRUE(slow->Wait());
  EXPECT_EQ(slow->body(), "sleep");
}

TEST_F(WaitingCallTest, IsEndedWithThePool) {
  Sinks others;
  const auto loop = BeginWithOthersBehind("loop", 10'000, others);
  pool_.reset();
  EXPECT_EQ(loop->results(), 1);
  for (const auto& other : others) EXPECT_EQ(other->results(), 1);
}

// Calls that are taken, taken back and cancelled at the same time: each has one result, its own.
TEST_F(WaitingCallTest, HasItsOwnAnswerWhateverHappensAround) {
  std::atomic<bool> stop{false};
  std::atomic<int> ok{0};
  std::atomic<int> wrong{0};
  std::vector<std::jthread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; !stop; ++i) {
        Sinks sinks;
        std::vector<std::shared_ptr<PoolCall>> calls;
        const auto body = [&](int at) {
          if (i % 50 == 7 && at == 0) return std::string("sleep");
          return std::to_string(caller) + ":" + std::to_string(i) + ":" + std::to_string(at);
        };
        for (int at = 0; at < 5; ++at) {
          sinks.push_back(std::make_shared<TestSink>());
          calls.push_back(pool_->Start(TestStart(), body(at), true, sinks.back()));
        }
        if (i % 20 == 3) calls[static_cast<std::size_t>(i) % calls.size()]->Cancel();
        for (int at = 0; at < 5; ++at) {
          const auto& sink = sinks[static_cast<std::size_t>(at)];
          if (!sink->Wait() || sink->results() != 1) {
            ++wrong;
            return;
          }
          const auto outcome = sink->result().outcome();
          if (outcome == v1::OUTCOME_OK) {
            ++(sink->body() == body(at) ? ok : wrong);
          } else if (outcome != v1::OUTCOME_CANCELLED) {
            ++wrong;
          }
        }
      }
    });
  }
  EXPECT_TRUE(Eventually([&] {
    const PoolState state = pool_->State();
    return wrong > 0 || (ok > 2'000 && state.waited > 200 && state.taken_back > 10);
  })) << ok
      << " answers, " << pool_->State().waited << " waited, " << pool_->State().taken_back
      << " were taken back";
  stop = true;
  callers.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(pool_->State().busy, 0u);
}

TEST_F(WaitingCallTest, IsMeteredForWhatItUsedItself) {
  Sinks others;
  const auto slow = BeginWithOthersBehind("sleep", 10'000, others);
  ExpectTheirAnswers(others);
  for (const auto& other : others) EXPECT_LT(other->result().metering().wall_us(), 200'000u);
  ASSERT_TRUE(slow->Wait());
  EXPECT_GE(slow->result().metering().wall_us(), 190'000u);
}

}  // namespace
}  // namespace mayfly::runtime
