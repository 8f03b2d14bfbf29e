// A LineSink writes lines to a descriptor and never makes a caller wait for whoever reads them.
//
// What can be written at once is written on the caller's thread. Anything else is queued, up to a bound, for a thread
// that is started when it is first needed. What has no room is dropped and counted, and once there is room again, one
// line tells how many were.
//
// To learn whether a write would wait, a pipe or a terminal is opened a second time, as non-blocking: the flags of the
// descriptor itself belong to other processes too. Where that is forbidden (a pipe that another user made), the thread
// writes everything, a little at a time and when poll() says that there is room.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/file_descriptor.h"

namespace mayfly::base {

class LineSink {
 public:
  static constexpr std::size_t kMostBytes = 1u << 20;

  // `fd` stays the caller's. `tell` makes the line about `dropped` lines, without its newline; it must not write here.
  // `reopen`: false never opens it a second time.
  LineSink(int fd, std::function<std::string(std::uint64_t dropped)> tell, bool reopen = true);
  // As End().
  ~LineSink();

  // Writes `line`, which has no newline at its end, or queues it while no more than `most_queued` bytes are; false if it
  // was dropped.
  bool Write(std::string line, std::size_t most_queued = kMostBytes);
  // How many lines were dropped so far.
  std::uint64_t dropped() const;

  // Waits until everything is written; false if it is not by `deadline`.
  bool Flush(std::chrono::steady_clock::time_point deadline);
  // Flushes for a moment and ends the thread, unless that is still kept waiting. Later lines are written at once or
  // dropped.
  void End();

 private:
  enum class Way { kNowhere, kAtOnce, kSocket, kPolled };

  void Open(bool reopen);
  // Writes what there is room for and returns how much that was; a descriptor that is broken takes everything.
  std::size_t TryWrite(std::string_view text) const;
  void Run(const std::stop_token& stop);
  bool Idle() const { return queue_.empty() && !writing_; }  // REQUIRES: mutex_ is held

  const int fd_;
  const std::function<std::string(std::uint64_t)> tell_;
  FileDescriptor own_;
  int target_ = -1;
  Way way_ = Way::kNowhere;

  mutable std::mutex mutex_;
  std::condition_variable_any filled_;
  std::condition_variable idle_;
  std::string queue_;          // whole lines, but for the first; guarded by mutex_
  std::size_t writing_ = 0;    // bytes that the thread took and has not written yet; guarded by mutex_
  std::uint64_t dropped_ = 0;  // guarded by mutex_
  std::uint64_t untold_ = 0;   // of those; guarded by mutex_
  bool ended_ = false;         // guarded by mutex_
  std::jthread thread_;        // set under mutex_, once
};

}  // namespace mayfly::base
