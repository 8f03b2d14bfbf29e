// The pool with real processes: every invocation gets its answer or a clean failure, whatever the module does.
#include "runtime/pool/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <thread>

#include "runtime/pool/pool_testing.h"

namespace mayfly::runtime {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

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

  base::Metrics metrics_;
  std::unique_ptr<WorkerPool> pool_;
  std::shared_ptr<PoolCall> last_call_;
};

TEST_F(WorkerPoolTest, AnswersWithWhatTheHandlerReplied) {
  Open("echo_plain");
  auto sink = Run("", "hello");
  EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_OK) << sink->result().ShortDebugString();
  EXPECT_EQ(sink->head().status(), 200u);
  EXPECT_EQ(sink->body(), "hello");
  EXPECT_EQ(sink->parts(), 1) << "a small answer is one part";
  EXPECT_TRUE(sink->result().metering().cold());
  EXPECT_FALSE(Run("", "again")->result().metering().cold());
}

TEST_F(WorkerPoolTest, ServesManyInvocationsOneAfterTheOther) {
  Open("echo_plain");
  for (int i = 0; i < 1000; ++i) {
    const std::string body = "body " + std::to_string(i);
    ASSERT_EQ(Run("", body)->body(), body);
  }
}

TEST_F(WorkerPoolTest, SegmentationFaultFailsThatInvocationOnly) {
  auto sink = HarmThenOk("segv", v1::OUTCOME_CRASHED, "SegmentationFault");
  EXPECT_THAT(sink->result().problem().message(), HasSubstr("0x10"));
}

TEST_F(WorkerPoolTest, AbortFailsThatInvocationOnly) { HarmThenOk("abort_", v1::OUTCOME_CRASHED, "Aborted"); }

TEST_F(WorkerPoolTest, ExitFailsThatInvocationOnly) { HarmThenOk("exit0", v1::OUTCOME_CRASHED, "Exited"); }

TEST_F(WorkerPoolTest, EndlessLoopIsStoppedAtItsDeadline) {
  Open("endless_loop");
  const auto begun = std::chrono::steady_clock::now();
  auto sink = Run("", "", 200);
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_TIMED_OUT);
  EXPECT_EQ(sink->result().problem().reason(), "DeadlineExceeded");
  EXPECT_GE(took, milliseconds(200));
  EXPECT_LT(took, milliseconds(250));
  EXPECT_EQ(Run("ok")->body(), "ok");
}

}  // namespace
}  // namespace mayfly::runtime
