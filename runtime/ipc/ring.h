// The response ring: whole records from a worker to the runtime, through shared memory.
//
// One writer, one reader. Positions count bytes ever written or read, so full and empty never look alike. The
// writer (in the worker, trusted by itself) may put several records before it publishes them at once; the
// reader (in the runtime) takes every value it finds for hostile: it copies, then checks the copy, and says
// kBroken instead of believing.
//
// Neither side blocks or rings a bell here; that is the owner's business. Not thread-safe on either side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "runtime/ipc/layout.h"

namespace mayfly::ipc {

class RingWriter {
 public:
  // `header` and the kRingBytes at `ring` must outlive the writer.
  RingWriter(ChannelHeader& header, char* ring);

  // Bytes of payload that Put() would take now, at most; 0 if not even a record header fits.
  std::size_t Room() const;
  // Appends a record made of two pieces. REQUIRES: a_size + b_size <= Room().
  void Put(RecordKind kind, const void* a, std::size_t a_size, const void* b = nullptr,
           std::size_t b_size = 0);
  // Shows the reader what was put since. True if anything was.
  bool Publish();
  // Whether the reader has consumed all that was published.
  bool Drained() const;
  // Bytes ever put.
  std::uint64_t written() const { return written_; }

 private:
  void Copy(const void* data, std::size_t size);

  ChannelHeader& header_;
  char* const ring_;
  std::uint64_t written_ = 0;
  std::uint64_t published_ = 0;
};

class RingReader {
 public:
  enum class Result {
    kRecord,   // `kind` and `payload` are set
    kEmpty,    // nothing there
    kBlocked,  // data is there, and the window is 0
    kBroken,   // the writer broke the rules; do not read on
  };

  RingReader(ChannelHeader& header, const char* ring);

  // Takes the next record, or as much of a data record as `window` allows. Appends to `payload`.
  Result Next(std::uint64_t window, RecordKind& kind, std::string& payload);
  // Whether the writer has published something that was not taken.
  bool HasMore() const;
  // Lets the writer use the space of what was taken. True if there was any since the last call.
  bool Release();

 private:
  void Copy(void* to, std::uint64_t position, std::size_t size) const;
  void Append(std::string& to, std::uint64_t position, std::size_t size) const;

  ChannelHeader& header_;
  const char* const ring_;
  std::uint64_t read_ = 0;
  std::uint64_t released_ = 0;
  std::size_t data_left_ = 0;     // of the data record that is being taken in pieces
  std::size_t data_padding_ = 0;  // after it
};

}  // namespace mayfly::ipc
