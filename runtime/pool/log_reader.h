// Turns what a worker prints and logs into lines of the runtime's own log.
//
// Lines of host->log begin with 0x01, the level's digit, the invocation's number and a blank; all else is what
// the process wrote to its standard output or error. A worker is hostile: lines are cut at 16 KiB, and past a
// budget per second they are counted instead of written, so that reading never holds the pool up.
//
// Pool thread only.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/file_descriptor.h"

namespace mayfly::runtime {

class LogReader {
 public:
  LogReader(base::FileDescriptor pipe, std::string function, std::string revision);

  int fd() const { return pipe_.get(); }
  void set_pid(pid_t pid) { pid_ = pid; }
  // The worker was given an invocation under this number. Its log lines name the number; what it prints is the
  // invocation's if it is the only one there, and not, `among_others`, waits behind another.
  void Given(std::uint32_t number, std::string id, bool among_others);
  // Whether something was printed since the last call of this.
  bool TakePrinted() { return std::exchange(printed_, false); }
  // Reads and writes what is there, up to a bound. False once the pipe has ended.
  bool ReadSome();
  // Writes what is left of an unfinished line.
  void Finish();

 private:
  void Line(std::string_view line);
  bool Allowed();

  base::FileDescriptor pipe_;
  const std::string function_;
  const std::string revision_;
  pid_t pid_ = 0;
  struct Invocation {
    std::uint32_t number = 0;
    std::string id;
  };
  static constexpr std::size_t kRemembered = 16;

  std::string_view InvocationOf(std::uint32_t number) const;

  std::array<Invocation, kRemembered> given_;
  std::uint32_t last_ = 0;  // the number of the last one
  bool alone_ = true;
  bool printed_ = false;
  std::string held_;
  bool cutting_ = false;  // the rest of a line that was too long
  std::uint32_t budget_;
  std::uint64_t dropped_ = 0;
  std::chrono::steady_clock::time_point refilled_;
};

}  // namespace mayfly::runtime
