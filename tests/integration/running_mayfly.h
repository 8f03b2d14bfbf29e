// The program `mayfly` as a test runs it: with a run folder of its own, and its output in the test's hands.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace mayfly::testing {

// What a run of `mayfly` to its end said.
struct Ran {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// The environment of every run: MAYFLY_RUN_DIR is `run_dir`, TMPDIR is `run_dir`.tmp, and there is no PORT.
Ran RunMayfly(const std::string& run_dir, const std::vector<std::string>& arguments,
              const std::string& folder = "", const std::string& input = "");

// A `mayfly up` or `mayfly dev` that runs.
class RunningMayfly {
 public:
  RunningMayfly(const std::string& run_dir, const std::vector<std::string>& arguments,
                const std::string& folder = "");
  // Kills it, if it was not waited for. However it ended, the test fails if it left something in TMPDIR: what a killed one
  // leaves must lie in its run folder, where the next one removes it.
  ~RunningMayfly();

  // Waits for its ready line; false if it ended or did not say it in time.
  bool WaitUntilReady(std::chrono::milliseconds within = std::chrono::seconds(30));
  // "http://127.0.0.1:PORT", once it is ready.
  const std::string& url() const { return url_; }
  int port() const;
  pid_t pid() const { return pid_; }

  // Leaves its standard error unread from now on.
  void StopReadingErrors() { deaf_ = true; }
  void Signal(int number) const;
  // Waits for its end and returns its exit code, or minus the signal that killed it; -1000 if it did not end in time.
  int Wait(std::chrono::milliseconds within = std::chrono::seconds(10));

  std::string out() const;
  std::string err() const;

 private:
  void Read(int fd, std::string& into);

  const std::string run_dir_;
  pid_t pid_ = -1;
  bool waited_ = false;
  std::atomic<bool> deaf_{false};
  std::string url_;
  mutable std::mutex mutex_;
  std::string out_;  // guarded by mutex_
  std::string err_;  // guarded by mutex_
  std::jthread out_reader_;
  std::jthread err_reader_;
};

// How many processes have `text` in their command line.
int ProcessesWith(const std::string& text);
// Their pids.
std::vector<pid_t> PidsWith(const std::string& text);

}  // namespace mayfly::testing
