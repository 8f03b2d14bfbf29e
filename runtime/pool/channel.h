// The runtime's side of one worker's shared memory.
//
// Only the ring and two words of the header are read back, each value once; see ipc/layout.h. The memfd is
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
  char* request_area() { return base_ + ipc::kRequestOffset; }
  std::size_t request_area_bytes() const { return bytes_ - ipc::kRequestOffset; }
  const ipc::CrashReport& crash() const { return header_.crash; }
  ipc::RingReader& ring() { return ring_; }

  // Lets user code run in the worker.
  void Admit();
  // Announces what lies in the request area.
  void Give();
  // Asks an idle worker to end.
  void Leave();
  // Wakes the worker after the ring was read.
  void ReleaseRing();

  // Whether what Give() announced last has reached the handler.
  bool taken() const;
  // Whether the words that only the runtime writes are as it left them. If not, the module wrote over its
  // channel, and what its worker does next is anyone's guess.
  bool Intact() const;
  // Has the worker ring the doorbell at its next record.
  void Arm();

  // Another process takes the place of one that died before it took what was given.
  // `given`: whether what lies in the request area is complete and was announced.
  void HandOver(bool given);
  // How much of the request area was written; and gives its pages back if that was much.
  void NoteWritten(std::size_t end);
  void Trim();

 private:
  void Wake();

  base::FileDescriptor memory_;
  char* const base_;
  const std::size_t bytes_;
  ipc::ChannelHeader& header_;
  ipc::RingReader ring_;
  std::uint32_t given_ = 0;
  std::uint32_t wakes_ = 0;
  std::size_t written_ = 0;
};

}  // namespace mayfly::runtime
