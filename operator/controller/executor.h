// An Executor runs calls that take long (a module's create(), a drain) beside the reconcile workers.
//
// A worker that waited ten seconds for one replica would keep thousands of other functions waiting. So such
// calls run here, on at most `max_threads` threads that start when they are needed and stay. Callers keep at
// most one call per replica in flight, and `max_waiting` bounds the rest.
//
// Thread-safe. Destroying it waits for the calls that run; the owner first makes them end
// (ReplicaClient::Cancel).
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace mayfly::op {

class Executor {
 public:
  // `name` names the threads.
  Executor(std::string name, std::size_t max_threads, std::size_t max_waiting);
  ~Executor();

  // Runs `call` soon on a thread of the executor. False if too many wait, or after Stop(); it is then not
  // run.
  [[nodiscard]] bool Run(std::function<void()> call);

  // Drops what waits, and returns when nothing runs. Idempotent.
  void Stop();

  // Waits until nothing waits or runs, or `timeout` has passed; true if nothing does. For tests.
  bool WaitIdle(std::chrono::milliseconds timeout);

 private:
  void Loop(std::stop_token stop);

  const std::string name_;
  const std::size_t max_threads_;
  const std::size_t max_waiting_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::function<void()>> waiting_;  // guarded by mutex_
  std::size_t running_ = 0;                    // guarded by mutex_
  bool stopped_ = false;                       // guarded by mutex_
  std::vector<std::jthread> threads_;          // guarded by mutex_ until stopped_
};

}  // namespace mayfly::op
