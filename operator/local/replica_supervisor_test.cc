#include "operator/local/replica_supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"

namespace mayfly::op {
namespace {

using base::Eventually;
using base::TempDir;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

class ReplicaSupervisorTest : public ::testing::Test {
 protected:
  // Runs a fake runtime that behaves as `how` says (see testing/fake_runtime.cc).
  void Start(const std::string& how, milliseconds start_timeout = seconds(10)) {
    fs::create_symlink(MAYFLY_FAKE_RUNTIME, temp_ / how);
    fs::create_directory(temp_ / "r");
    ReplicaSupervisorOptions options;
    options.program = temp_ / how;
    options.dir = temp_ / "r";
    options.start_timeout = start_timeout;
    options.changed = [this](const std::string&) { ++changes_; };
    options.line = [this](const std::string& function, const std::string&, std::string_view line) {
      const std::lock_guard lock(mutex_);
      lines_.push_back(function + ": " + std::string(line));
    };
    options.environment = CleanEnvironment();
    absl::StatusOr<std::unique_ptr<ReplicaSupervisor>> started = ReplicaSupervisor::Start(std::move(options));
    ASSERT_TRUE(started.ok()) << started.status();
    supervisor_ = *std::move(started);
  }

  std::string CreateOne() { return supervisor_->Create("default/f").value(); }
  bool BecomesPhase(ReplicaPhase phase) {
    return Eventually([&] {
      const std::vector<Replica> replicas = supervisor_->List("default/f");
      return replicas.size() == 1 && replicas.front().phase == phase;
    });
  }
  bool AllGone() {
    return Eventually([&] { return supervisor_->Processes("default/f") == 0 && fs::is_empty(temp_ / "r"); });
  }
  std::vector<std::string> Lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  // Processes whose executable is the fake runtime and whose working folder lay below this test's.
  int Alive() const {
    int count = 0;
    for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
      std::error_code error;
      const std::string folder = fs::read_symlink(entry.path() / "cwd", error).string();
      if (!error && folder.starts_with(temp_.path())) ++count;
    }
    return count;
  }

  // A replica that leaves so many processes, with its own, is deleted. In a process of its own: what it adopts it must be
  // able to kill without harm to this one.
  void KillsWhatIsLeft(const std::string& how, int processes) {
    const pid_t child = ::fork();
    if (child == 0) {
      AdoptOrphans();
      Start(how);
      const std::string name = CreateOne();
      bool good = BecomesPhase(ReplicaPhase::kRunning) && Eventually([&] { return Alive() >= processes; });
      supervisor_->Delete(name, seconds(10));
      good = good && AllGone() && Eventually([&] { return Alive() == 0; });
      supervisor_.reset();
      ::_exit(good ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }

  TempDir temp_;
  std::mutex mutex_;
  std::vector<std::string> lines_;
  std::atomic<int> changes_{0};
  std::unique_ptr<ReplicaSupervisor> supervisor_;
};

TEST_F(ReplicaSupervisorTest, AReplicaRunsOnceItAnswersAtItsAddress) {
  Start("runtime");
  CreateOne();
  ASSERT_TRUE(BecomesPhase(ReplicaPhase::kRunning));
  const Replica replica = supervisor_->List("default/f").front();
  EXPECT_EQ(replica.address.substr(0, 5), "unix:");
  EXPECT_TRUE(fs::is_socket(replica.address.substr(5)));
  EXPECT_GT(changes_, 0);
}

TEST_F(ReplicaSupervisorTest, HandsOnWhatAReplicaWrites) {
  Start("runtime");
  CreateOne();
  EXPECT_TRUE(Eventually([&] { return !Lines().empty(); }));
  EXPECT_THAT(Lines(), Contains("default/f: runtime says hello"));
}

TEST_F(ReplicaSupervisorTest, SaysHowAReplicaEnded) {
  Start("fails-at-once");
  CreateOne();
  ASSERT_TRUE(BecomesPhase(ReplicaPhase::kFailed));
  EXPECT_EQ(supervisor_->List("default/f").front().message,
            "its runtime ended with exit code 3; its last line was: no luck today");
}

TEST_F(ReplicaSupervisorTest, SaysWhichSignalKilledAReplica) {
  Start("runtime");
  CreateOne();
  ASSERT_TRUE(BecomesPhase(ReplicaPhase::kRunning));
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    std::error_code error;
    if (fs::read_symlink(entry.path() / "cwd", error).string().starts_with(temp_.path()) && !error) {
      ::kill(std::stoi(entry.path().filename()), SIGKILL);
    }
  }
  ASSERT_TRUE(BecomesPhase(ReplicaPhase::kFailed));
  EXPECT_THAT(supervisor_->List("default/f").front().message, HasSubstr("was killed by SIGKILL"));
}

TEST_F(ReplicaSupervisorTest, GivesUpOnAReplicaThatNeverAnswers) {
  Start("never-ready", milliseconds(50));
  CreateOne();
  ASSERT_TRUE(BecomesPhase(ReplicaPhase::kFailed));
  EXPECT_THAT(supervisor_->List("default/f").front().message, HasSubstr("did not answer within 50 ms"));
}

TEST_F(ReplicaSupervisorTest, ADeletedReplicaIsOffTheListAtOnceAndLeavesNothing) {
  Start("runtime");
  const std::string name = CreateOne();
  ASSERT_TRUE(BecomesPhase(ReplicaPhase::kRunning));
  supervisor_->Delete(name, seconds(10));
  EXPECT_THAT(supervisor_->List("default/f"), IsEmpty());
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(Alive(), 0);
}

TEST_F(ReplicaSupervisorTest, KillsWhatOutstaysItsGrace) {
  Start("ignores-sigterm");
  const std::string name = CreateOne();
  ASSERT_TRUE(BecomesPhase(ReplicaPhase::kRunning));
  supervisor_->Delete(name, milliseconds(20));
  EXPECT_TRUE(AllGone());
}

TEST_F(ReplicaSupervisorTest, DeletingAFailedReplicaForgetsIt) {
  Start("fails-at-once");
  const std::string name = CreateOne();
  ASSERT_TRUE(BecomesPhase(ReplicaPhase::kFailed));
  supervisor_->Delete(name, seconds(10));
  EXPECT_TRUE(AllGone());
}

TEST_F(ReplicaSupervisorTest, DeletingWhatIsNotThereIsNoError) {
  Start("runtime");
  supervisor_->Delete("nobody-1", seconds(1));
  const std::string name = CreateOne();
  supervisor_->Delete(name, seconds(10));
  supervisor_->Delete(name, seconds(10));
  EXPECT_TRUE(AllGone());
}

TEST_F(ReplicaSupervisorTest, EndsAllOfThemInTimeEvenIfTheyIgnoreIt) {
  Start("ignores-sigterm");
  for (int i = 0; i < 5; ++i) CreateOne();
  ASSERT_TRUE(Eventually([&] {
    const std::vector<Replica> replicas = supervisor_->List("default/f");
    return std::all_of(replicas.begin(), replicas.end(),
                       [](const Replica& replica) { return replica.phase == ReplicaPhase::kRunning; });
  }));
  const auto before = std::chrono::steady_clock::now();
  supervisor_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(2));
  EXPECT_EQ(Alive(), 0);
  EXPECT_TRUE(fs::is_empty(temp_ / "r"));
}

TEST_F(ReplicaSupervisorTest, RefusesAFolderThatIsTooLongForSockets) {
  ReplicaSupervisorOptions options;
  options.program = MAYFLY_FAKE_RUNTIME;
  options.dir = "/tmp/" + std::string(100, 'x');
  const auto started = ReplicaSupervisor::Start(std::move(options));
  EXPECT_THAT(std::string(started.status().message()), HasSubstr("MAYFLY_RUN_DIR"));
}

TEST_F(ReplicaSupervisorTest, SaysWhichProgramCannotBeRun) {
  ReplicaSupervisorOptions options;
  options.program = "/no/such/mayfly-runtime";
  options.dir = temp_.path();
  const auto started = ReplicaSupervisor::Start(std::move(options));
  EXPECT_THAT(std::string(started.status().message()), HasSubstr("/no/such/mayfly-runtime"));
}

TEST_F(ReplicaSupervisorTest, ADaemonThatAReplicaLeftIsKilledToo) { KillsWhatIsLeft("leaves-a-daemon", 2); }

TEST_F(ReplicaSupervisorTest, AForkBombThatAReplicaLeftIsKilledToo) {
  KillsWhatIsLeft("leaves-a-fork-bomb", 30);
}

TEST_F(ReplicaSupervisorTest, ReplicasDieWithAParentThatIsKilled) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Start("ignores-sigterm");
    CreateOne();
    const char good = BecomesPhase(ReplicaPhase::kRunning) ? '1' : '0';
    (void)!::write(ready[1], &good, 1);
    for (;;) ::pause();
  }
  char good = 0;
  ASSERT_EQ(::read(ready[0], &good, 1), 1);
  EXPECT_EQ(good, '1');
  EXPECT_GE(Alive(), 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(Eventually([&] { return Alive() == 0; }));
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace mayfly::op
