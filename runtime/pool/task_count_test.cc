#include "runtime/pool/task_count.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <latch>
#include <thread>
#include <vector>

namespace mayfly::runtime {
namespace {

// A child that has `children` of its own, all of which wait until the returned process is killed.
pid_t StartFamily(int children) {
  int ready[2];
  if (pipe(ready) != 0) return -1;
  const pid_t parent = fork();
  if (parent == 0) {
    setpgid(0, 0);
    for (int i = 0; i < children; ++i) {
      if (fork() == 0) {
        while (true) pause();
      }
    }
    [[maybe_unused]] const ssize_t written = write(ready[1], "r", 1);
    while (true) pause();
  }
  char byte;
  const bool started = read(ready[0], &byte, 1) == 1;
  close(ready[0]);
  close(ready[1]);
  return started ? parent : -1;
}

TEST(CountTasks, CountsGrandchildren) {
  const pid_t parent = StartFamily(5);
  ASSERT_GT(parent, 1);
  EXPECT_EQ(CountTasks(parent, 100), 6u);
  EXPECT_EQ(CountTasks(getpid(), 100), 7u);
  kill(-parent, SIGKILL);
  waitpid(parent, nullptr, 0);
}

TEST(CountTasks, StopsAtEnough) {
  const pid_t parent = StartFamily(9);
  ASSERT_GT(parent, 1);
  EXPECT_EQ(CountTasks(parent, 4), 4u);
  kill(-parent, SIGKILL);
  waitpid(parent, nullptr, 0);
}

TEST(CountTasks, CountsThreads) {
  std::latch counted(1);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&counted] { counted.wait(); });
  EXPECT_EQ(CountTasks(getpid(), 100), 4u);
  counted.count_down();
}

TEST(CountTasks, IsNothingForAProcessThatIsGone) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(CountTasks(child, 100), 0u);
}

}  // namespace
}  // namespace mayfly::runtime
