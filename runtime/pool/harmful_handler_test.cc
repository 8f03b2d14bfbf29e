// What a handler may do wrong: each costs its own invocation, and the function serves the next one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "runtime/pool/pool_testing.h"
#include "runtime/pool/worker_pool_testing.h"

namespace mayfly::runtime {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST_F(WorkerPoolTest, SegmentationFaultFailsThatInvocationOnly) {
  auto sink = HarmThenOk("segv", v1::OUTCOME_CRASHED, "SegmentationFault");
  EXPECT_THAT(sink->result().problem().message(), HasSubstr("0x10"));
  EXPECT_THAT(sink->result().backtrace(), testing::Contains(HasSubstr("segv.so+0x")));
}

TEST_F(WorkerPoolTest, AbortFailsThatInvocationOnly) { HarmThenOk("abort_", v1::OUTCOME_CRASHED, "Aborted"); }

TEST_F(WorkerPoolTest, ExitFailsThatInvocationOnly) {
  auto sink = HarmThenOk("exit0", v1::OUTCOME_CRASHED, "Exited");
  EXPECT_THAT(sink->result().problem().message(), HasSubstr("exit code 0"));
  HarmThenOk("exit0", v1::OUTCOME_CRASHED, "Exited", "how=_exit");
}

TEST_F(WorkerPoolTest, ExceptionThatLeavesTheHandlerIsNamed) {
  auto sink = HarmThenOk("throws", v1::OUTCOME_CRASHED, "UncaughtException");
  EXPECT_THAT(sink->result().problem().message(), HasSubstr("std::runtime_error: thrown by the test"));
}

TEST_F(WorkerPoolTest, StackOverflowIsCalledByItsName) {
  HarmThenOk("stack_overflow", v1::OUTCOME_CRASHED, "StackOverflow");
}

TEST_F(WorkerPoolTest, LongjmpOutOfTheHandlerFailsThatInvocationOnly) {
  Open("longjmps");
  EXPECT_EQ(Run("", "", 1000)->result().outcome(), v1::OUTCOME_CRASHED);
  EXPECT_EQ(Run("ok")->body(), "ok");
}

TEST_F(WorkerPoolTest, EndlessLoopIsStoppedAtItsDeadline) { StopsAtItsDeadline("endless_loop"); }
TEST_F(WorkerPoolTest, BlockedSignalsDoNotHelpAgainstTheDeadline) { StopsAtItsDeadline("blocks_signals"); }
TEST_F(WorkerPoolTest, StoppedWorkerIsKilledAtItsDeadline) { StopsAtItsDeadline("stops_itself"); }

TEST_F(WorkerPoolTest, ReturningWithoutAnAnswerIsAFailure) {
  HarmThenOk("no_answer", v1::OUTCOME_BAD_ANSWER, "NoAnswer");
  HarmThenOk("no_answer", v1::OUTCOME_BAD_ANSWER, "IncompleteAnswer", "how=begun");
}

TEST_F(WorkerPoolTest, AnsweringTwiceIsAFailure) {
  auto sink = HarmThenOk("answers_twice", v1::OUTCOME_BAD_ANSWER, "AnsweredTwice");
  EXPECT_EQ(sink->body(), "");
}

TEST_F(WorkerPoolTest, SentenceOfAFailingHandlerReachesTheCaller) {
  auto sink = HarmThenOk("fails", v1::OUTCOME_FAILED, "HandlerFailed");
  EXPECT_EQ(sink->result().problem().message(), "the disk of the moon is full");
}

TEST_F(WorkerPoolTest, ErrorThatTheHandlerReturnsIsNamed) {
  auto sink = HarmThenOk("returns_error", v1::OUTCOME_FAILED, "HandlerFailed");
  EXPECT_THAT(sink->result().problem().message(), HasSubstr("Input/output error"));
}

TEST_F(WorkerPoolTest, AnswersThoughTheHandlerClosedEveryDescriptor) {
  Open("closes_fds");
  auto sink = Run();
  EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_OK) << sink->result().ShortDebugString();
  EXPECT_EQ(sink->body(), "closed");
  EXPECT_EQ(Run("ok")->body(), "ok");
}

TEST_F(WorkerPoolTest, ScribblingOverTheChannelHarmsNobodyElse) {
  Open("scribbles");
  auto sink = Run("", "", 2000);
  // Its own answer may get through or not.
  EXPECT_EQ(sink->results(), 1);
  EXPECT_EQ(Run("ok")->body(), "ok");
}

TEST_F(WorkerPoolTest, ProcessesThatAHandlerLeavesBehindAreKilled) {
  for (const char* module : {"forks", "setsid_escape"}) {
    Open(module);
    auto sink = Run();
    EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_OK) << sink->result().ShortDebugString();
    const pid_t stray = static_cast<pid_t>(std::stol(sink->body()));
    ASSERT_GT(stray, 1);
    EXPECT_TRUE(Eventually([stray] { return kill(stray, 0) != 0; })) << module;
    EXPECT_EQ(Run("ok")->body(), "ok");
    pool_.reset();
  }
}

TEST_F(WorkerPoolTest, ForkedChildThatReturnsDoesNotAnswer) {
  Open("forks_child_returns");
  for (int i = 0; i < 20; ++i) {
    auto sink = Run();
    EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_OK);
    EXPECT_EQ(sink->body(), "parent");
    EXPECT_EQ(sink->results(), 1);
  }
}

TEST_F(WorkerPoolTest, ForkBombIsStopped) {
  HarmThenOk("fork_bomb", v1::OUTCOME_CRASHED, "TooManyProcesses");
}

TEST_F(WorkerPoolTest, ThreadsWithoutBoundAreStopped) {
  HarmThenOk("threads", v1::OUTCOME_CRASHED, "TooManyProcesses", "threads=100&ms=5000");
}

TEST_F(WorkerPoolTest, ThreadsMayOutliveAnInvocation) {
  Open("threads");
  EXPECT_EQ(Run()->body(), "1 threads");
  EXPECT_EQ(Run("ok")->body(), "ok");
}

TEST_F(WorkerPoolTest, MemoryWithoutBoundIsStoppedAtTheLimit) {
  PoolOptions options = TestOptions("allocates");
  options.worker_memory_bytes = 100u << 20;
  Open(options);
  HarmThenOk("allocates", v1::OUTCOME_OUT_OF_MEMORY, "OutOfMemory");
  EXPECT_EQ(Run("mb=50")->body(), "50 MB");
}

TEST_F(WorkerPoolTest, FloodOfLogLinesDoesNotHoldAnythingUp) {
  Open("floods_log");
  EXPECT_EQ(Run("lines=20000")->result().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(Run("ok")->body(), "ok");
}

TEST_F(WorkerPoolTest, LeakedDescriptorsEndAtALimit) {
  Open("leaks_fds");
  auto sink = Run();
  EXPECT_THAT(sink->body(), HasSubstr("Too many open files"));
  EXPECT_EQ(Run("ok")->body(), "ok");
}

TEST_F(WorkerPoolTest, AfterForkThatFailsIsNotAStart) {
  Open("after_fork_fails");
  auto sink = Run();
  EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_NOT_STARTED) << sink->result().ShortDebugString();
  EXPECT_THAT(sink->result().problem().message(), HasSubstr("no connection for this worker"));
}

TEST_F(WorkerPoolTest, CallsAfterForkOnceInEachWorker) {
  Open("after_fork_counter");
  Run();
  EXPECT_THAT(Run()->body(), HasSubstr("after_fork=1 handled=2"));
}

}  // namespace
}  // namespace mayfly::runtime
