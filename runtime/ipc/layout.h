// The shared memory between a runtime and one worker, byte by byte.
//
// One sealed memfd per worker:
//
//   ChannelHeader | response ring, kRingBytes | kCalls small areas, kSmallAreaBytes each | large area,
//   kHeadRoom + max_request_bytes
//
// A request lies in an area: a Request at its start, the strings and pair tables it refers to, then the body, which the
// handler reads in place. The areas are written by the runtime only and mapped read-only by the worker. The ring is
// written by the worker: whole Records, in order. The worker sleeps on `wake` (a futex); the runtime sleeps in
// epoll on an eventfd that the worker writes if `armed`.
//
// A worker runs one call at a time, but may be given a few more that wait, so that it need not sleep between two. Each
// call has a number and a word in `calls`, which the runtime sets to kOffered. The worker takes them in order, each by a
// compare-and-swap to kTaken when it has ended the one before; until then the runtime can take a call back by a
// compare-and-swap to kRevoked, and knows for sure that it was not begun.
//
// A worker is hostile: the runtime copies each value once, checks the copy, and never reads back what it wrote.
// The worker trusts the runtime.
//
// Plain data; included by the worker, so it depends on nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace mayfly::ipc {

inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kRingBytes = 256u << 10;
// Room for everything but the body: ids, attributes, headers.
inline constexpr std::size_t kHeadRoom = 1u << 20;
// The largest body that a channel is made for; the most that a Load may ask for.
inline constexpr std::uint64_t kMostRequestBytes = std::uint64_t{1} << 30;
// How many calls a worker may have at once: one that it runs, and those that wait behind it.
inline constexpr std::size_t kCalls = 8;
// What fits here, head and body, may wait behind another call.
inline constexpr std::size_t kSmallAreaBytes = 16u << 10;
// A worker whose answer was larger than this waits until it was read before it takes the next call, and no call is put
// behind one whose caller takes less than twice as much: so a call never waits for room in its answer's window while the
// next one runs.
inline constexpr std::uint64_t kSmallAnswerBytes = 32u << 10;
// The body bytes that the worker puts into one record.
inline constexpr std::size_t kMaxDataRecord = 64u << 10;

// Descriptors of a worker. They are far from those that user code opens, and seccomp keeps them open.
inline constexpr int kTasksFd = 239;  // the folder of its own threads
inline constexpr int kDoorbellFd = 240;
inline constexpr int kLogFd = 241;
inline constexpr int kControlFd = 242;  // closed in workers
inline constexpr int kFirstKeptFd = kTasksFd;
inline constexpr int kLastKeptFd = kLogFd;
// Where a new mayfly-worker finds what it was started with.
inline constexpr int kInheritedControlFd = 3;
inline constexpr int kInheritedLaunchFd = 4;

inline constexpr std::size_t kMaxFrames = 64;
inline constexpr std::size_t kCrashTextBytes = 1024;
inline constexpr std::size_t kCrashMapsBytes = 16u << 10;

enum class CrashKind : std::uint32_t {
  kNone = 0,
  kSignal = 1,
  kStackOverflow = 2,
  kException = 3,
  kOutOfMemory = 4,
};

// What a worker tells about its own end. Zeroed by the runtime before each invocation; hostile.
struct CrashReport {
  std::atomic<std::uint32_t> kind;  // CrashKind; set last
  std::uint32_t signal;
  std::uint64_t address;
  std::uint32_t frame_count;
  std::uint32_t text_size;
  std::uint32_t maps_size;
  std::uint32_t reserved;
  std::uint64_t frames[kMaxFrames];
  char text[kCrashTextBytes];  // exception's type and what()
  char maps[kCrashMapsBytes];  // executable lines of /proc/self/maps
};

// What a worker that sleeps waits for.
enum class Sleep : std::uint32_t { kAwake = 0, kForWork = 1, kForRoom = 2 };

// A word for each call: its number modulo 2^29, whether it lies in the large area, its state.
enum class CallState : std::uint32_t { kNone = 0, kOffered = 1, kTaken = 2, kRevoked = 3 };
inline constexpr std::uint32_t kCallNumbers = 1u << 29;
inline constexpr std::uint32_t CallWord(std::uint32_t number, bool large, CallState state) {
  return number % kCallNumbers << 3 | (large ? 4u : 0u) | static_cast<std::uint32_t>(state);
}
inline constexpr std::uint32_t NumberOf(std::uint32_t word) { return word >> 3; }
inline constexpr bool IsLarge(std::uint32_t word) { return (word & 4u) != 0; }
inline constexpr CallState StateOf(std::uint32_t word) { return static_cast<CallState>(word & 3u); }
inline constexpr std::uint32_t WithState(std::uint32_t word, CallState state) {
  return (word & ~3u) | static_cast<std::uint32_t>(state);
}

struct ChannelHeader {
  // Written by the runtime.
  alignas(64) std::atomic<std::uint32_t> wake;  // changes whenever the worker has something to look at
  std::atomic<std::uint32_t> admitted;          // the runtime knows this worker: user code may run
  std::atomic<std::uint32_t> leave;             // end: destroy() and exit
  std::atomic<std::uint64_t> ring_read;         // bytes of the ring that were consumed

  // Written by both.
  alignas(64) std::atomic<std::uint32_t> armed;  // the runtime sleeps: write to the doorbell
  std::atomic<std::uint32_t> calls[kCalls];      // the word of call N is at N % kCalls

  // Written by the worker.
  alignas(64) std::atomic<std::uint32_t> sleeping;  // a Sleep: the worker is about to wait on `wake`
  std::atomic<std::uint64_t> ring_written;          // bytes ever put into the ring

  alignas(64) CrashReport crash;
};

inline constexpr std::size_t RoundUp(std::size_t value, std::size_t unit) {
  return (value + unit - 1) / unit * unit;
}

inline constexpr std::size_t kRingOffset = RoundUp(sizeof(ChannelHeader), kPageBytes);
inline constexpr std::size_t kAreasOffset = kRingOffset + kRingBytes;

// From the start of the areas.
inline constexpr std::size_t kLargeArea = kCalls * kSmallAreaBytes;
inline constexpr std::size_t AreaOf(std::uint32_t number, bool large) {
  return large ? kLargeArea : number % kCalls * kSmallAreaBytes;
}
inline constexpr std::size_t AreasBytes(std::uint64_t max_request_bytes) {
  return RoundUp(kLargeArea + kHeadRoom + static_cast<std::size_t>(max_request_bytes), kPageBytes);
}

// Bytes of a request's area, by offset from its start.
struct Span {
  std::uint32_t offset;
  std::uint32_t size;
};
struct SpanPair {
  Span name;
  Span value;
};
struct PairTable {
  std::uint32_t offset;  // of SpanPair[count]
  std::uint32_t count;
};

// What lies at the start of an area.
struct Request {
  std::uint64_t deadline_ns;  // CLOCK_MONOTONIC
  std::uint64_t body_offset;
  std::uint64_t body_size;
  std::uint32_t attempt;
  std::uint32_t is_http;
  Span invocation_id;
  Span id;
  Span source;
  Span type;
  Span subject;
  Span time;
  Span data_content_type;
  Span method;
  Span path;
  Span query;
  PairTable attributes;
  PairTable headers;
  PairTable parameters;
};

enum class RecordKind : std::uint32_t {
  kHead = 1,  // HeadRecord, then per header two sizes and the bytes
  kData = 2,  // body bytes
  kEnd = 3,   // the answer is complete
  kFail = 4,  // the handler's sentence
  kDone = 5,  // DoneRecord: handle has returned
};

// In the ring each record starts at a multiple of 8.
struct RecordHeader {
  std::uint32_t kind;
  std::uint32_t size;  // of the payload that follows
};
struct HeadRecord {
  std::uint32_t status;
  std::uint32_t header_count;
};
struct HeaderSizes {
  std::uint32_t name;
  std::uint32_t value;
};

inline constexpr std::uint32_t kDoneAnsweredTwice = 1;
inline constexpr std::uint32_t kDoneStrayChildren = 2;  // processes are left behind
inline constexpr std::uint32_t kDoneStrayThreads = 4;   // threads are
struct DoneRecord {
  std::int32_t result;  // what handle returned
  std::uint32_t flags;
  // CLOCK_MONOTONIC, as the worker says: how what it used is shared out between calls whose ends are read together.
  std::uint64_t began_ns;
  std::uint64_t ended_ns;
};

}  // namespace mayfly::ipc
