// What a handler may do wrong: each costs its own invocation, and the function serves the next one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <set>

#include "base/utf8.h"
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

// It has no other stack on which it could tell.
TEST_F(WorkerPoolTest, StackOverflowOfAThreadIsSuspected) {
  auto sink = HarmThenOk("stack_overflow", v1::OUTCOME_CRASHED, "SegmentationFault", "thread");
  EXPECT_THAT(sink->result().problem().message(), HasSubstr("used up its stack"));
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
  sink = HarmThenOk("fails", v1::OUTCOME_FAILED, "HandlerFailed", "begun=1");
  EXPECT_EQ(sink->result().problem().message(), "the disk of the moon is full")
      << "not that it answered twice";
}

// What is no UTF-8 in a message of protobuf makes the whole of it unreadable to the gateway.
TEST_F(WorkerPoolTest, TextOfAHandlerThatIsNoUtf8IsCleaned) {
  constexpr const char* kCafe = "caf\xef\xbf\xbd";
  auto sink = HarmThenOk("odd_text", v1::OUTCOME_FAILED, "HandlerFailed");
  EXPECT_EQ(sink->result().problem().message(), kCafe);
  sink = HarmThenOk("odd_text", v1::OUTCOME_FAILED, "HandlerFailed", "long");
  EXPECT_EQ(sink->result().problem().message().size(), 4095u) << "cut between two characters";
  EXPECT_TRUE(base::IsUtf8(sink->result().problem().message()));
  pool_.reset();

  sink = HarmThenOk("throws", v1::OUTCOME_CRASHED, "UncaughtException", "message=caf\xe9");
  EXPECT_THAT(sink->result().problem().message(), HasSubstr(kCafe));
  pool_.reset();

  PoolOptions options = TestOptions("odd_text");
  options.config_json = R"({"in": "after_fork"})";
  Open(options);
  sink = Run();
  EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_NOT_STARTED);
  EXPECT_THAT(sink->result().problem().message(), HasSubstr(kCafe));
  pool_.reset();

  for (const char* config : {R"({"in": "create"})", R"({"in": "create", "text": "long"})"}) {
    options.config_json = config;
    v1::Problem problem;
    EXPECT_EQ(WorkerPool::Create(options, metrics_, problem), nullptr);
    EXPECT_EQ(problem.reason(), "CreateFailed");
    EXPECT_TRUE(base::IsUtf8(problem.message())) << problem.message();
    EXPECT_THAT(problem.message(), testing::AnyOf(HasSubstr(kCafe), testing::EndsWith("\xc3\xa9")));
  }
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
  for (const char* module : {"forks", "setsid_escape", "clones"}) {
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

TEST_F(WorkerPoolTest, ThreadsThatAHandlerLeavesBehindEndWithItsWorker) {
  Open("answers_late");
  for (int i = 0; i < 3; ++i) {
    const std::string first = Run("ms=60000")->body();
    ASSERT_THAT(first, testing::StartsWith("first "));
    const pid_t worker = static_cast<pid_t>(std::stol(first.substr(6)));
    const std::string next = Run("sleep=1")->body();
    EXPECT_THAT(next, testing::StartsWith("slept "));
    EXPECT_NE(next.substr(6), first.substr(6));
    EXPECT_TRUE(Eventually([worker] { return kill(worker, 0) != 0; }));
  }
}

TEST_F(WorkerPoolTest, LateAnswersReachNobodyElsesInvocation) {
  for (const char* config : {"{}", R"({"start": "after_fork"})"}) {
    PoolOptions options = TestOptions("answers_late");
    options.config_json = config;
    Open(options);
    const std::string first = Run("ms=50")->body();
    ASSERT_THAT(first, testing::StartsWith("first "));
    auto sink = Run("sleep=300");
    EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_OK) << sink->result().ShortDebugString();
    EXPECT_THAT(sink->body(), testing::StartsWith("slept "));
    EXPECT_EQ(sink->head().headers_size(), 1) << sink->head().ShortDebugString();
    // A thread that after_fork() started stays, and its worker with it.
    EXPECT_EQ(first.substr(6) == sink->body().substr(6), std::string(config) != "{}");
    pool_.reset();
  }
}

TEST_F(WorkerPoolTest, ThreadsThatAreJoinedCostTheWorkerNothing) {
  Open("threads");
  std::set<std::string> workers;
  constexpr int kRuns = 50;
  for (int i = 0; i < kRuns; ++i) workers.insert(Run("join")->body());
  // On a busy machine one may still be on its way out after a millisecond.
  EXPECT_LE(workers.size(), kRuns / 5u);
}

TEST_F(WorkerPoolTest, MemoryWithoutBoundIsStoppedAtTheLimit) {
  PoolOptions options = TestOptions("allocates");
  options.worker_memory_bytes = 100u << 20;
  Open(options);
  HarmThenOk("allocates", v1::OUTCOME_OUT_OF_MEMORY, "OutOfMemory");
  EXPECT_EQ(Run("mb=50")->body(), "50 MB");
}

TEST_F(WorkerPoolTest, MemoryOfChildrenCountsWithTheirWorkers) {
  PoolOptions options = TestOptions("grows");
  options.worker_memory_bytes = 100u << 20;
  Open(options);
  auto sink = HarmThenOk("grows", v1::OUTCOME_OUT_OF_MEMORY, "OutOfMemory", "children=4&mb=60&ms=10000");
  EXPECT_THAT(sink->result().problem().message(), HasSubstr("processes that it started"));
  EXPECT_EQ(Run("children=4&mb=10&ms=100")->body(), "4 children");
}

// What children share with their worker counts once.
TEST_F(WorkerPoolTest, PagesThatChildrenShareWithTheirWorkerCountOnce) {
  PoolOptions options = TestOptions("allocates");
  options.worker_memory_bytes = 100u << 20;
  Open(options);
  auto sink = Run("mb=60&fork=3&ms=300");
  EXPECT_EQ(sink->body(), "60 MB") << sink->result().ShortDebugString();
}

TEST_F(WorkerPoolTest, MemoryThatAnIdleWorkerTakesEndsIt) {
  PoolOptions options = TestOptions("grows");
  options.worker_memory_bytes = 100u << 20;
  Open(options);
  const pid_t worker = static_cast<pid_t>(std::stol(Run("later&mb=200")->body()));
  EXPECT_TRUE(Eventually([worker] { return kill(worker, 0) != 0; }));
  EXPECT_EQ(Run("ok")->body(), "ok");
}

TEST_F(WorkerPoolTest, TemporaryFolderThatIsFullIsEmptied) {
  PoolOptions options = TestOptions("leaves_files");
  options.temporary_bytes = 10u << 20;
  Open(options);
  const std::string small = Run("mb=1")->body();
  EXPECT_EQ(access(small.c_str(), F_OK), 0) << small;
  const std::string large = Run("mb=20")->body();
  EXPECT_TRUE(
      Eventually([&] { return access(large.c_str(), F_OK) != 0 && access(small.c_str(), F_OK) != 0; }));
  HarmThenOk("leaves_files", v1::OUTCOME_CRASHED, "TemporaryFolderFull", "mb=20&ms=9000");
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

TEST_F(WorkerPoolTest, CrashInAfterForkIsNamedAndEndsTheInvocation) {
  for (const char* module : {"after_fork_segv", "after_fork_exits"}) {
    Open(module);
    auto sink = Run();
    // No other replica would do better, so none is to try.
    EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_CRASHED) << sink->result().ShortDebugString();
    EXPECT_EQ(sink->result().problem().reason(), "AfterForkCrashed");
    EXPECT_THAT(sink->result().problem().message(), HasSubstr("after_fork()"));
    EXPECT_THAT(sink->result().problem().message(), testing::Not(HasSubstr("the handler")));
    pool_.reset();
  }
}

TEST_F(WorkerPoolTest, HandlerThatWritesOverItsChannelIsToldSo) {
  for (const char* what : {"trash", "trash all"}) {
    Open("waits");
    auto sink = Run("", what);
    EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_BAD_ANSWER) << sink->result().ShortDebugString();
    EXPECT_THAT(sink->result().problem().message(), HasSubstr("the handler wrote over"));
    EXPECT_EQ(Run("", "ok")->body(), "ok");
    pool_.reset();
  }
}

TEST_F(WorkerPoolTest, CallsAfterForkOnceInEachWorker) {
  Open("after_fork_counter");
  Run();
  EXPECT_THAT(Run()->body(), HasSubstr("after_fork=1 handled=2"));
}

}  // namespace
}  // namespace mayfly::runtime
