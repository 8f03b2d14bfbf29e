#include "operator/controller/work_queue.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>
#include <vector>

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

TEST(WorkQueueTest, HandsOutAKeyOnceHoweverOftenItWasAdded) {
  base::FakeClock clock;
  WorkQueue queue(clock);
  queue.Add("a");
  queue.Add("a");
  queue.Add("b");
  EXPECT_EQ(queue.depth(), 2u);
  EXPECT_EQ(queue.TryTake(), "a");
  EXPECT_EQ(queue.TryTake(), "b");
  EXPECT_EQ(queue.TryTake(), std::nullopt);
}

TEST(WorkQueueTest, HoldsBackAKeyThatIsStillBeingReconciled) {
  base::FakeClock clock;
  WorkQueue queue(clock);
  queue.Add("a");
  ASSERT_EQ(queue.TryTake(), "a");
  queue.Add("a");
  EXPECT_EQ(queue.TryTake(), std::nullopt);
  queue.Done("a");
  EXPECT_EQ(queue.TryTake(), "a");
  queue.Done("a");
  EXPECT_EQ(queue.TryTake(), std::nullopt);
}

TEST(WorkQueueTest, AddsADelayedKeyWhenItsTimeHasCome) {
  base::FakeClock clock;
  WorkQueue queue(clock);
  queue.AddAfter("a", 10s);
  clock.Advance(9s);
  EXPECT_EQ(queue.TryTake(), std::nullopt);
  clock.Advance(1s);
  EXPECT_EQ(queue.TryTake(), "a");
}

TEST(WorkQueueTest, LetsTheEarlierOfTwoDelaysWin) {
  base::FakeClock clock;
  WorkQueue queue(clock);
  queue.AddAfter("a", 10s);
  queue.AddAfter("a", 2s);
  queue.AddAfter("a", 20s);
  clock.Advance(2s);
  EXPECT_EQ(queue.TryTake(), "a");
  queue.Done("a");
  clock.Advance(60s);
  EXPECT_EQ(queue.TryTake(), std::nullopt);
}

TEST(WorkQueueTest, LetsAnAddOvertakeADelay) {
  base::FakeClock clock;
  WorkQueue queue(clock);
  queue.AddAfter("a", 10s);
  queue.Add("a");
  EXPECT_EQ(queue.TryTake(), "a");
  queue.Done("a");
  clock.Advance(10s);
  EXPECT_EQ(queue.TryTake(), std::nullopt);
}

TEST(WorkQueueTest, KeepsADelayThatWasAskedForWhileTheKeyIsReconciled) {
  base::FakeClock clock;
  WorkQueue queue(clock);
  queue.Add("a");
  ASSERT_EQ(queue.TryTake(), "a");
  queue.AddAfter("a", 1s);
  clock.Advance(1s);
  EXPECT_EQ(queue.TryTake(), std::nullopt);
  queue.Done("a");
  EXPECT_EQ(queue.TryTake(), "a");
}

TEST(WorkQueueTest, DoublesTheBackoffUpToItsLongestAndStartsAnewWhenForgotten) {
  base::FakeClock clock;
  WorkQueue queue(clock, {.first = 100ms, .longest = 1s});
  std::vector<std::chrono::nanoseconds> expected = {100ms, 200ms, 400ms, 800ms, 1s, 1s};
  for (auto delay : expected) {
    const auto before = clock.Now();
    queue.AddWithBackoff("a");
    const auto due = queue.next_due();
    ASSERT_TRUE(due.has_value());
    EXPECT_GE(*due - before, delay / 2);
    EXPECT_LE(*due - before, delay);
    clock.Advance(delay);
    ASSERT_EQ(queue.TryTake(), "a");
    queue.Done("a");
  }
  queue.Forget("a");
  queue.AddWithBackoff("a");
  clock.Advance(100ms);
  EXPECT_EQ(queue.TryTake(), "a");
}

TEST(WorkQueueTest, WakesATakerWhenAKeyComesAndWhenItMustStop) {
  base::RealClock clock;
  WorkQueue queue(clock);
  std::atomic<int> taken = 0;
  std::atomic<bool> ended = false;
  std::jthread taker([&](std::stop_token stop) {
    while (auto key = queue.Take(stop)) {
      ++taken;
      queue.Done(*key);
      taken.notify_all();
    }
    ended = true;
  });
  queue.Add("a");
  taken.wait(0);
  queue.AddAfter("b", 1ms);
  taken.wait(1);
  taker.request_stop();
  taker.join();
  EXPECT_EQ(taken, 2);
  EXPECT_TRUE(ended);
}

// Against a model that is too simple to be wrong: which keys are due, held, and asked for while held.
RC_GTEST_PROP(WorkQueueTest, NeverLosesAKeyNorHandsItToTwoWorkers, ()) {
  base::FakeClock clock;
  WorkQueue queue(clock);
  struct Model {
    bool wanted = false;
    bool held = false;
    std::optional<base::MonotonicTime> due;
  };
  std::map<std::string, Model> model;
  const auto settle = [&] {
    for (auto& [key, m] : model) {
      if (m.due && *m.due <= clock.Now()) {
        m.due.reset();
        m.wanted = true;
      }
    }
  };
  const int steps = *rc::gen::inRange(1, 200);
  for (int i = 0; i < steps; ++i) {
    const std::string key(1, *rc::gen::inRange('a', 'f'));
    switch (*rc::gen::inRange(0, 5)) {
      case 0:
        queue.Add(key);
        model[key].wanted = true;
        model[key].due.reset();
        break;
      case 1: {
        const auto delay = std::chrono::seconds(*rc::gen::inRange(1, 5));
        queue.AddAfter(key, delay);
        Model& m = model[key];
        if (!m.wanted && (!m.due || clock.Now() + delay < *m.due)) m.due = clock.Now() + delay;
        break;
      }
      case 2:
        clock.Advance(std::chrono::milliseconds(*rc::gen::inRange(0, 3000)));
        break;
      case 3: {
        settle();
        const auto taken = queue.TryTake();
        const bool possible = std::any_of(model.begin(), model.end(),
                                          [](auto& m) { return m.second.wanted && !m.second.held; });
        RC_ASSERT(taken.has_value() == possible);
        if (taken) {
          RC_ASSERT(model[*taken].wanted);
          RC_ASSERT(!model[*taken].held);
          model[*taken].wanted = false;
          model[*taken].held = true;
        }
        break;
      }
      default:
        for (auto& [name, m] : model) {
          if (m.held) {
            settle();
            m.held = false;
            queue.Done(name);
            break;
          }
        }
    }
    if (i % 7 == 0) settle();
  }
}

}  // namespace
}  // namespace mayfly::op
