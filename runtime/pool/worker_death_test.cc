// Processes that are killed or leave, and what is left of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "base/log.h"
#include "runtime/pool/pool_testing.h"
#include "runtime/pool/worker_pool_testing.h"

namespace mayfly::runtime {
namespace {

using std::chrono::milliseconds;

auto CountDescriptors() {
  // The log has its own from here on, and not from the first line that a worker's death is worth.
  base::log::Init("runtime", base::log::Level::kInfo, base::log::Format::kLogfmt);
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

TEST_F(WorkerPoolTest, KilledWorkerFailsItsInvocationOnly) {
  PoolOptions options = TestOptions("sleeps");
  options.slots = 2;
  Open(options);
  auto first = Begin("ms=500");
  const pid_t victim = WaitUntilBusy();
  auto second = Begin("ms=500");
  kill(victim, SIGKILL);
  ASSERT_TRUE(first->Wait());
  EXPECT_EQ(first->result().outcome(), v1::OUTCOME_CRASHED);
  EXPECT_EQ(first->result().problem().reason(), "WorkerKilled");
  ASSERT_TRUE(second->Wait());
  EXPECT_EQ(second->result().outcome(), v1::OUTCOME_OK);
}

TEST_F(WorkerPoolTest, KilledForkServerCostsNoInvocation) {
  PoolOptions options = TestOptions("sleeps");
  options.slots = 2;
  Open(options);
  auto first = Begin("ms=300");
  WaitUntilBusy();
  const pid_t server = pool_->State().fork_server_pid;
  ASSERT_GT(server, 0);
  kill(server, SIGKILL);
  auto second = Begin("ms=1");
  ASSERT_TRUE(first->Wait());
  EXPECT_EQ(first->result().outcome(), v1::OUTCOME_OK);
  ASSERT_TRUE(second->Wait());
  EXPECT_EQ(second->result().outcome(), v1::OUTCOME_OK) << second->result().ShortDebugString();
  EXPECT_NE(pool_->State().fork_server_pid, server);
}

TEST_F(WorkerPoolTest, StoppedIdleWorkerIsNotTakenForASlowHandler) {
  Open("sleeps");
  Run("ms=1");
  const PoolState state = pool_->State();
  ASSERT_EQ(state.workers.size(), 1u);
  kill(state.workers[0].pid(), SIGSTOP);
  auto sink = Run("ms=1", "", 200);
  EXPECT_THAT(sink->result().problem().message(), testing::HasSubstr("did not begin"));
  EXPECT_EQ(Run("ms=1")->result().outcome(), v1::OUTCOME_OK);
}

// A fork server that is there but does nothing any more is found, and nothing of those that waited for it stays.
TEST_F(WorkerPoolTest, HungForkServerIsReplacedAndLeavesNothing) {
  PoolOptions options = TestOptions("sleeps");
  options.fork_timeout = milliseconds(500);
  Open(options);
  Run("ms=1");
  const PoolState state = pool_->State();
  const auto before = CountDescriptors();
  ASSERT_EQ(kill(state.fork_server_pid, SIGSTOP), 0);
  for (const v1::WorkerInfo& worker : state.workers) kill(worker.pid(), SIGKILL);
  ASSERT_TRUE(Eventually([this] { return pool_->State().workers.empty(); }));
  for (int i = 0; i < 5; ++i) {
    auto sink = Run("ms=1", "", 20);
    EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_NOT_STARTED) << sink->result().ShortDebugString();
  }
  auto sink = Run("ms=1");
  EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_OK) << sink->result().ShortDebugString();
  EXPECT_NE(pool_->State().fork_server_pid, state.fork_server_pid);
  EXPECT_TRUE(Eventually([&] { return CountDescriptors() <= before; }))
      << CountDescriptors() << " > " << before;
}

// A fork server that is ready and never gives a worker is retried ever more slowly, and callers hear why.
TEST_F(WorkerPoolTest, ForkServerThatGivesNoWorkerIsRetriedSlowlyAndTheCauseIsTold) {
  const std::pair<const char*, const char*> cases[] = {{R"("hog")", "descriptors"},
                                                       {R"("atfork")", "pthread_atfork"}};
  for (const auto& [config, cause] : cases) {
    PoolOptions options = TestOptions("fork_server_fails");
    options.config_json = config;
    options.fork_timeout = milliseconds(50);
    Open(options);
    std::set<pid_t> servers;
    std::string message;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    while (std::chrono::steady_clock::now() < end) {
      auto sink = Run("", "", 300);
      EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_NOT_STARTED) << sink->result().ShortDebugString();
      message = sink->result().problem().message();
      servers.insert(pool_->State().fork_server_pid);
    }
    EXPECT_THAT(message, testing::HasSubstr(cause));
    EXPECT_LE(servers.size(), 6u);
    pool_.reset();
  }
}

TEST_F(WorkerPoolTest, ModuleThatWritesToTheControlSocketIsNamedForIt) {
  PoolOptions options = TestOptions("fork_server_fails");
  options.config_json = R"("garbage")";
  v1::Problem problem;
  EXPECT_EQ(WorkerPool::Create(options, metrics_, problem), nullptr);
  EXPECT_EQ(problem.reason(), "BadControlMessage") << problem.ShortDebugString();
  EXPECT_THAT(problem.message(), testing::HasSubstr("control socket"));
}

TEST_F(WorkerPoolTest, SaysThatThereIsNoFolderForTemporaryFiles) {
  const char* const old = getenv("TMPDIR");
  const std::string kept = old != nullptr ? old : "/tmp";
  setenv("TMPDIR", "/nonexistent/folder", 1);
  v1::Problem problem;
  EXPECT_EQ(WorkerPool::Create(TestOptions("sleeps"), metrics_, problem), nullptr);
  setenv("TMPDIR", kept.c_str(), 1);
  EXPECT_THAT(problem.message(), testing::HasSubstr("TMPDIR"));
}

TEST_F(WorkerPoolTest, IdleWorkersLeave) {
  PoolOptions options = TestOptions("sleeps");
  options.slots = 4;
  options.idle_worker_lifetime = milliseconds(100);
  Open(options);
  std::vector<std::shared_ptr<TestSink>> sinks;
  for (int i = 0; i < 4; ++i) sinks.push_back(Begin("ms=20"));
  for (const auto& sink : sinks) ASSERT_TRUE(sink->Wait());
  EXPECT_TRUE(Eventually([this] { return pool_->State().workers.empty(); }));
  EXPECT_EQ(Run("ms=0")->result().outcome(), v1::OUTCOME_OK);
}

TEST_F(WorkerPoolTest, SlotServesAgainWithinTenMillisecondsOfACrash) {
  Open("segv");
  Run("ok");
  std::vector<milliseconds::rep> took;
  for (int i = 0; i < 20; ++i) {
    Run();
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_EQ(Run("ok")->body(), "ok");
    took.push_back(
        std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begun).count());
  }
  std::sort(took.begin(), took.end());
  EXPECT_LE(took[took.size() / 2], 10);
}

TEST_F(WorkerPoolTest, EndingThePoolGivesResultsAndLeavesNothing) {
  Run0();
  const auto before = CountDescriptors();
  PoolOptions options = TestOptions("sleeps");
  options.slots = 3;
  Open(options);
  std::vector<std::shared_ptr<TestSink>> sinks;
  for (int i = 0; i < 3; ++i) sinks.push_back(Begin("ms=60000", "", 60'000));
  WaitUntilBusy();
  std::vector<pid_t> pids{pool_->State().fork_server_pid};
  for (const auto& worker : pool_->State().workers) pids.push_back(worker.pid());
  pool_.reset();
  for (const auto& sink : sinks) {
    EXPECT_EQ(sink->results(), 1);
    EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_CANCELLED);
  }
  for (const pid_t pid : pids) EXPECT_NE(kill(pid, 0), 0) << pid;
  last_call_->Cancel();
  last_call_.reset();
  EXPECT_EQ(CountDescriptors(), before);
}

TEST_F(WorkerPoolTest, TwoRevisionsServeSideBySide) {
  Open("echo_plain");
  auto old = std::move(pool_);
  Open("shows_config");
  EXPECT_EQ(Run()->result().outcome(), v1::OUTCOME_OK);
  auto sink = std::make_shared<TestSink>();
  old->Start(TestStart(), "old", true, sink);
  ASSERT_TRUE(sink->Wait());
  EXPECT_EQ(sink->body(), "old");
  EXPECT_EQ(old->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(5)), 0u);
}

// Under load, each invocation gets its right answer or a clean failure, and only killed workers fail any.
TEST_F(WorkerPoolTest, KillingWorkersAndForkServersUnderLoadFailsOnlyWhatTheyRan) {
  PoolOptions options = TestOptions("echo_plain");
  options.slots = 8;
  options.busy_before_waiting = 1;
  Open(options);
  std::atomic<bool> stop{false};
  std::atomic<int> ok{0};
  std::atomic<int> failed{0};
  std::atomic<int> wrong{0};
  std::vector<std::jthread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; !stop; ++i) {
        const std::string body = std::to_string(caller) + ":" + std::to_string(i);
        auto sink = std::make_shared<TestSink>();
        pool_->Start(TestStart(), body, true, sink);
        if (!sink->Wait()) {
          ++wrong;
          return;
        }
        if (sink->result().outcome() == v1::OUTCOME_OK) {
          ++(sink->body() == body ? ok : wrong);
        } else {
          ++failed;
        }
      }
    });
  }
  int kills = 0;
  std::minstd_rand random(1);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < end) {
    const PoolState state = pool_->State();
    if (!state.workers.empty() && kill(state.workers[random() % state.workers.size()].pid(), SIGKILL) == 0)
      ++kills;
    if (kills % 5 == 0 && state.fork_server_pid > 0) kill(state.fork_server_pid, SIGKILL);
    const int seen = ok;
    Eventually([&] { return ok > seen + 20; });
  }
  stop = true;
  callers.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(failed, kills);
  EXPECT_GT(ok, 100);
  EXPECT_GT(kills, 10);
}

}  // namespace
}  // namespace mayfly::runtime
