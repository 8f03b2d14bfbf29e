// A worker's side of its channel: the shared memory, the doorbell, and the process that they belong to.
//
// A child that a handler forked has them too, but must not speak: every call ends such a child. It is known by a
// page that the kernel empties in a child (MADV_WIPEONFORK), for asking for the process id at every call costs a
// system call. A child that shares its parent's memory (vfork) stands for its parent, which waits for it.
//
// Main thread only.
#pragma once

#include <sys/types.h>

#include <cstddef>

#include "runtime/ipc/layout.h"
#include "runtime/ipc/ring.h"

namespace mayfly::worker {

class Channel {
 public:
  // Takes over `memory` (mapped: kAreasOffset bytes writable) and `doorbell`. `areas` are mapped read-only.
  Channel(char* memory, const char* areas, int doorbell);

  // Waits until the runtime has admitted this worker.
  void WaitUntilAdmitted();
  // Waits for the next call and takes it; where its request lies, or null if this worker is to leave.
  //
  // If one waits already, the runtime is not woken to read the answer of the last: as long as a call waits, it looks
  // by itself before long.
  const char* Next();

  // Puts a record, waiting while the ring is too full. REQUIRES: it fits into an empty ring.
  void Put(ipc::RecordKind kind, const void* a, std::size_t a_size, const void* b = nullptr,
           std::size_t b_size = 0);
  // Puts body bytes as records as large as fit.
  void PutData(const void* data, std::size_t size);
  // Shows the runtime what was put.
  void Flush();
  // The same, but leaves it to Next() or WakeRuntime() to wake the runtime.
  void Publish() { ring_.Publish(); }
  void WakeRuntime();
  ipc::CrashReport& crash() { return header_.crash; }
  // Which invocation runs, for log lines.
  std::uint32_t sequence() const { return taken_; }
  // Ends this process at once if it is a child that user code forked.
  void EndStrayChild() const;

 private:
  bool TakeNext();
  void WaitForRoom(std::size_t bytes);
  // Sleeps until the runtime changes `wake`, unless `ready` holds.
  template <typename Ready>
  void SleepUntil(ipc::Sleep why, const Ready& ready);

  ipc::ChannelHeader& header_;
  ipc::RingWriter ring_;
  const char* const areas_;
  const char* area_ = nullptr;  // of the call that was taken last
  const int doorbell_;
  const pid_t pid_;
  const char* const
      own_;  // points at 1 in this process, at 0 in its children; null: the kernel has no such pages
  std::uint32_t taken_ = 0;     // the number of the last call that was taken or passed over
  std::uint64_t begun_at_ = 0;  // how much had been put into the ring then
};

}  // namespace mayfly::worker
