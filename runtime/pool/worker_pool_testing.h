// The fixture of the pool's tests: one pool with real processes, and invocations of it.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/testing/eventually.h"
#include "runtime/pool/pool_testing.h"

namespace mayfly::runtime {

class WorkerPoolTest : public testing::Test {
 protected:
  void Open(PoolOptions options) {
    v1::Problem problem;
    pool_ = WorkerPool::Create(std::move(options), metrics_, problem);
    ASSERT_NE(pool_, nullptr) << problem.ShortDebugString();
  }
  void Open(const std::string& module) { Open(TestOptions(module)); }

  std::shared_ptr<TestSink> Begin(const std::string& query = "", const std::string& body = "",
                                  std::uint32_t timeout_ms = 10'000) {
    auto sink = std::make_shared<TestSink>();
    last_call_ = pool_->Start(TestStart(query, timeout_ms), body, true, sink);
    return sink;
  }
  std::shared_ptr<TestSink> Run(const std::string& query = "", const std::string& body = "",
                                std::uint32_t timeout_ms = 10'000) {
    auto sink = Begin(query, body, timeout_ms);
    EXPECT_TRUE(sink->Wait()) << "no result came";
    return sink;
  }
  // One harmful request fails with `reason`, and the function serves the next one.
  std::shared_ptr<TestSink> HarmThenOk(const std::string& module, v1::Outcome outcome,
                                       const std::string& reason, const std::string& query = "") {
    if (pool_ == nullptr) Open(module);
    auto sink = Run(query);
    EXPECT_EQ(sink->result().outcome(), outcome) << sink->result().ShortDebugString() << sink->body();
    EXPECT_EQ(sink->result().problem().reason(), reason) << sink->result().ShortDebugString();
    EXPECT_EQ(sink->results(), 1);
    auto next = Run("ok");
    EXPECT_EQ(next->result().outcome(), v1::OUTCOME_OK) << next->result().ShortDebugString();
    EXPECT_EQ(next->body(), "ok");
    return sink;
  }

  // A busy machine makes a stop late, never early: one of some rounds has to be within the promised 50 ms.
  void StopsAtItsDeadline(const std::string& module) {
    constexpr std::chrono::milliseconds kTimeout{200};
    constexpr std::chrono::milliseconds kLate{50};
    constexpr int kRounds = 8;
    Open(module);
    auto took = std::chrono::steady_clock::duration::max();
    for (int i = 0; i < kRounds && took >= kTimeout + kLate; ++i) {
      const auto begun = std::chrono::steady_clock::now();
      auto sink = Run("", "", kTimeout.count());
      took = std::chrono::steady_clock::now() - begun;
      EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_TIMED_OUT) << sink->result().ShortDebugString();
      EXPECT_EQ(sink->result().problem().reason(), "DeadlineExceeded");
      EXPECT_GE(took, kTimeout);
      EXPECT_EQ(Run("ok")->body(), "ok");
    }
    EXPECT_LT(took, kTimeout + kLate);
  }
  // One invocation before anything is counted, so that what is made once per process is there.
  void Run0() {
    Open("echo_plain");
    Run();
    pool_.reset();
    last_call_.reset();
  }
  static bool Eventually(const std::function<bool()>& condition) {
    // Not without a pause: what asks all the time for the state of a pool keeps it from its work.
    return base::Eventually(condition, std::chrono::seconds(30));
  }
  // The pid of a worker that has been admitted and runs something.
  pid_t WaitUntilBusy() {
    pid_t pid = 0;
    Eventually([&] {
      for (const v1::WorkerInfo& worker : pool_->State().workers) {
        if (worker.busy()) pid = worker.pid();
      }
      return pid != 0;
    });
    return pid;
  }

  base::Metrics metrics_;
  std::unique_ptr<WorkerPool> pool_;
  std::shared_ptr<PoolCall> last_call_;
};

}  // namespace mayfly::runtime
