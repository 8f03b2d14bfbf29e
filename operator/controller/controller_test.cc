#include "operator/controller/controller.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

class ControllerTest : public testing::Test {
 protected:
  base::FakeClock clock_;
  base::Metrics metrics_;
  WorkQueue queue_{clock_, {.first = 100ms, .longest = 1s}};
  Result next_ = Result::Done();
  int runs_ = 0;
  Controller controller_{"test", "function", queue_, metrics_, clock_, [this](const std::string&) {
                           ++runs_;
                           return next_;
                         }};
};

TEST_F(ControllerTest, LetsAKeyRestThatIsDone) {
  queue_.Add("a");
  EXPECT_TRUE(controller_.RunOne());
  clock_.Advance(1h);
  EXPECT_FALSE(controller_.RunOne());
}

TEST_F(ControllerTest, ComesBackAfterTheDelayThatWasAskedFor) {
  next_ = Result::After(5s);
  queue_.Add("a");
  EXPECT_TRUE(controller_.RunOne());
  clock_.Advance(4s);
  EXPECT_FALSE(controller_.RunOne());
  clock_.Advance(1s);
  EXPECT_TRUE(controller_.RunOne());
}

TEST_F(ControllerTest, TriesAgainWithBackoffWhatMayPass) {
  next_ = Result::Failed(absl::UnavailableError("the cluster is away"));
  queue_.Add("a");
  EXPECT_TRUE(controller_.RunOne());
  EXPECT_FALSE(controller_.RunOne()) << "not at once";
  clock_.Advance(100ms);
  EXPECT_TRUE(controller_.RunOne());
  clock_.Advance(99ms);
  EXPECT_FALSE(controller_.RunOne()) << "the second time it waits longer";
  clock_.Advance(101ms);
  EXPECT_TRUE(controller_.RunOne());
}

TEST_F(ControllerTest, LetsAKeyRestWhoseErrorIsTerminal) {
  next_ = Result::Failed(absl::InvalidArgumentError("no such field"));
  queue_.Add("a");
  EXPECT_TRUE(controller_.RunOne());
  clock_.Advance(1h);
  EXPECT_FALSE(controller_.RunOne());
  EXPECT_NE(metrics_.Text().find("mayfly_operator_reconcile_total{kind=\"function\",outcome=\"failed\"} 1"),
            std::string::npos);
}

TEST(ControllerThreadsTest, NeverReconcilesOneKeyOnTwoThreads) {
  base::RealClock clock;
  base::Metrics metrics;
  WorkQueue queue(clock);
  std::map<std::string, std::atomic<int>> inside;
  for (int i = 0; i < 8; ++i) inside["key" + std::to_string(i)] = 0;
  std::atomic<bool> clash = false;
  std::atomic<int> runs = 0;
  Controller controller("test", "function", queue, metrics, clock, [&](const std::string& key) {
    if (++inside.at(key) != 1) clash = true;
    const bool again = ++runs < 2000;
    --inside.at(key);
    runs.notify_all();
    if (again) queue.Add(key);
    return Result::Done();
  });
  controller.Start(4);
  for (auto& [key, count] : inside) queue.Add(key);
  for (int seen = runs; seen < 2000; seen = runs) runs.wait(seen);
  controller.Stop();
  EXPECT_FALSE(clash);
}

}  // namespace
}  // namespace mayfly::op
