#include "runtime/pool/spare_worker.h"

#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <set>

#include "runtime/pool/worker_pool_testing.h"

namespace mayfly::runtime {
namespace {

std::set<pid_t> Children() {
  std::set<pid_t> children;
  std::ifstream file("/proc/thread-self/children");
  for (pid_t pid = 0; file >> pid;) children.insert(pid);
  return children;
}

class SpareWorkerTest : public WorkerPoolTest {
 protected:
  // Makes the spare; its pid.
  pid_t MakeSpare() {
    const std::set<pid_t> before = Children();
    spare_.emplace(TestOptions("echo_plain").worker_program);
    // Orphans of workers that other tests had may come to this process meanwhile; and it takes exec a moment to show this.
    pid_t spare = 0;
    EXPECT_TRUE(Eventually([&] {
      for (const pid_t pid : Children()) {
        if (!before.contains(pid) && CommandLine(pid).starts_with("mayfly-worker")) spare = pid;
      }
      return spare != 0;
    }));
    return spare;
  }
  void OpenWithSpare() {
    PoolOptions options = TestOptions("echo_plain");
    options.spare = &*spare_;
    Open(std::move(options));
  }
  static std::string CommandLine(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline");
    std::string text;
    std::getline(file, text);
    return text.substr(0, text.find_last_not_of('\0') + 1);
  }

  std::optional<SpareWorker> spare_;
};

TEST_F(SpareWorkerTest, IsWhatAPoolBeginsIn) {
  const pid_t spare = MakeSpare();
  ASSERT_GT(spare, 0);
  OpenWithSpare();
  EXPECT_EQ(CommandLine(spare), std::string("mayfly-worker\0test/echo_plain", 29));
  auto sink = Run("", "hello");
  EXPECT_EQ(sink->body(), "hello");
  pool_.reset();
  EXPECT_TRUE(Eventually([&] { return ::kill(spare, 0) != 0; })) << "it ends with its pool";
}

TEST_F(SpareWorkerTest, IsForTheFirstPoolOnly) {
  ASSERT_GT(MakeSpare(), 0);
  OpenWithSpare();
  pool_.reset();
  OpenWithSpare();
  EXPECT_EQ(Run("", "hello")->body(), "hello");
}

TEST_F(SpareWorkerTest, IsReplacedByAnotherProcessIfItHasDied) {
  const pid_t spare = MakeSpare();
  ASSERT_GT(spare, 0);
  ASSERT_EQ(::kill(spare, SIGKILL), 0);
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(spare), &info, WEXITED | WNOWAIT), 0);
  OpenWithSpare();
  EXPECT_EQ(Run("", "hello")->body(), "hello");
}

TEST_F(SpareWorkerTest, EndsWithItsOwnerIfNobodyTookIt) {
  const pid_t spare = MakeSpare();
  ASSERT_GT(spare, 0);
  spare_.reset();
  EXPECT_NE(::kill(spare, 0), 0);
}

TEST_F(SpareWorkerTest, IsNoneWhereItCannotStart) {
  spare_.emplace("/nonexistent/mayfly-worker");
  EXPECT_FALSE(spare_->Take({}).has_value());
}

}  // namespace
}  // namespace mayfly::runtime
