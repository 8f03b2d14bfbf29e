// TaskThreads runs what blocks (a load, a drain, an old revision's last invocations) on threads of its own, a
// few at most, so that the threads of gRPC stay free.
//
// Thread-safe. Destroying it joins every task: whoever gave them must see to it that they end.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace mayfly::runtime {

class TaskThreads {
 public:
  explicit TaskThreads(std::size_t most) : most_(most) {}
  ~TaskThreads();

  // Runs `task` on a thread named `name`. False, and nothing is run, if too many tasks run.
  bool Run(std::string name, std::function<void()> task);

 private:
  struct Task {
    std::jthread thread;
    bool done = false;
  };

  const std::size_t most_;
  std::mutex mutex_;
  std::list<Task> tasks_;  // guarded by mutex_
};

}  // namespace mayfly::runtime
