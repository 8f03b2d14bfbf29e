// The runtime's side of one worker's shared memory.
//
// Only the ring and a few words of the header are read back, each value once; see ipc/layout.h. The memfd is
// sealed against resizing, so a hostile worker cannot make the runtime's mapping fault.
//
// Not thread-safe: the pool says whose turn it is. The body may be written by one thread while another uses
// the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/file_descriptor.h"
#include "base/status.h"
#include "runtime/ipc/layout.h"
#include "runtime/ipc/ring.h"

namespace mayfly::runtime {

class Channel {
 public:
  static absl::StatusOr<std::shared_ptr<Channel>> Create(std::uint64_t max_request_bytes);
  Channel(base::FileDescriptor memory, char* base, std::size_t bytes);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  int memory() const { return memory_.get(); }
  std::size_t bytes() const { return bytes_; }
  // Where the next call's request is written before Give().
  char* small_area() { return Area(given_ + 1, false); }
  char* large_area() { return Area(0, true); }
  const ipc::CrashReport& crash() const { return header_.crash; }
  ipc::RingReader& ring() { return ring_; }

  // Lets user code run in the worker.
  void Admit();
  // Announces the next call, whose request lies in its area; its number. REQUIRES: it is less than kCalls after that of
  // the oldest call that has not ended.
  std::uint32_t Give(bool large);
  // How many calls were given.
  std::uint32_t given() const { return given_; }
  // Takes a call back. False if the worker has begun it (or its word is nonsense).
  bool Revoke(std::uint32_t number);
  // Copies a small call's request, `size` bytes of it, to where `to` wants its next.
  void CopyRequest(std::uint32_t number, std::size_t size, Channel& to);
  // Asks an idle worker to end.
  void Leave();
  // Wakes the worker after the ring was read.
  void ReleaseRing();

  // Whether the call has reached the handler.
  bool Taken(std::uint32_t number) const;
  // Whether it surely has not. Neither, if somebody wrote over its word.
  bool Offered(std::uint32_t number) const;
  // Whether the header's words are as the runtime left them, but for calls that were taken since; that which has just
  // ended, `number`, must have been. If not, the module wrote over its channel, and what its worker does next is
  // anyone's guess.
  bool Intact(std::uint32_t number) const { return Taken(number) && Untouched(); }
  // The same, while no call has ended.
  bool Untouched() const;
  // Has the worker ring the doorbell at its next record.
  void Arm();

  // Another process takes the place of one that died before it took what lies in the large area. Numbers begin anew.
  void HandOver();
  // How much of the large area was written; and gives its pages back if that was much.
  void NoteWritten(std::size_t end);
  void Trim();

 private:
  void Wake();
  char* Area(std::uint32_t number, bool large) {
    return base_ + ipc::kAreasOffset + ipc::AreaOf(number, large);
  }

  base::FileDescriptor memory_;
  char* const base_;
  const std::size_t bytes_;
  ipc::ChannelHeader& header_;
  ipc::RingReader ring_;
  std::uint32_t given_ = 0;
  std::uint32_t words_[ipc::kCalls] = {};  // what the runtime wrote last into `calls`
  std::uint32_t wakes_ = 0;
  std::size_t written_ = 0;
};

}  // namespace mayfly::runtime
