// A Symbolizer asks mayfly-symbolizer which functions the frames of crashes are in, on a thread of its own.
//
// Modules are hostile and so is what they say about themselves: another program reads it, one process per crash,
// which is killed at the crash's deadline or when the Symbolizer closes. A crash like one of the last few is answered
// from memory.
//
// Thread-safe. The thread is started by the first crash.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "runtime/symbolizer/protocol.h"

namespace mayfly::runtime {

class Symbolizer {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Answers = std::vector<symbolizer::Answer>;
  using Done = std::function<void(Answers)>;

  // `program` is the path of mayfly-symbolizer; with "" nothing is ever known.
  Symbolizer(std::string program, std::string module_path);
  ~Symbolizer();

  // What was found out about the same frames before.
  std::optional<Answers> Known(const std::vector<symbolizer::FileOffset>& frames) const;

  // Calls `done` once, on the Symbolizer's thread and without a lock, not much later than `deadline`, with what is
  // known by then. False, and `done` is not called: too many wait, there is no program to ask or no thread to be had, or
  // it is closed.
  bool Ask(const std::vector<symbolizer::FileOffset>& frames, Time deadline, Done done);

  // Answers all that wait, with nothing if need be, and joins the thread.
  void Close();

 private:
  struct Job {
    std::string question;
    std::size_t frames = 0;
    Time deadline;
    Done done;
  };
  void Run();
  Answers Find(const Job& job);

  const std::string program_;
  const std::string module_path_;
  base::FileDescriptor stop_;  // readable once it closes

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // waiting_ or closing_
  bool closing_ = false;
  std::deque<Job> waiting_;
  std::deque<std::pair<std::string, Answers>> known_;  // the newest at the back
  std::jthread thread_;
};

}  // namespace mayfly::runtime
