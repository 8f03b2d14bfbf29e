#include "runtime/pool/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <new>

#include "runtime/ipc/futex.h"

namespace mayfly::runtime {
namespace {

// A request that left more than this behind gives its pages back once its worker is idle.
constexpr std::size_t kKeptRequestBytes = 256u << 10;

}  // namespace

absl::StatusOr<std::shared_ptr<Channel>> Channel::Create(std::uint64_t max_request_bytes) {
  if (max_request_bytes > ipc::kMostRequestBytes)
    return absl::InvalidArgumentError("no channel is made for requests of more than 1 GiB");
  base::FileDescriptor memory(memfd_create("mayfly-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return base::ErrnoStatus(errno, "memfd_create");
  const std::size_t bytes = ipc::kAreasOffset + ipc::AreasBytes(max_request_bytes);
  if (ftruncate(memory.get(), static_cast<off_t>(bytes)) != 0 ||
      fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return base::ErrnoStatus(errno, "size a worker's channel");
  }
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (base == MAP_FAILED) return base::ErrnoStatus(errno, "map a worker's channel");
  return std::make_shared<Channel>(std::move(memory), static_cast<char*>(base), bytes);
}

Channel::Channel(base::FileDescriptor memory, char* base, std::size_t bytes)
    : memory_(std::move(memory)),
      base_(base),
      bytes_(bytes),
      header_(*new(base) ipc::ChannelHeader),
      ring_(header_, base + ipc::kRingOffset) {}

Channel::~Channel() { munmap(base_, bytes_); }

void Channel::Wake() {
  header_.wake.store(++wakes_, std::memory_order_seq_cst);
  if (header_.sleeping.load(std::memory_order_seq_cst) != 0) ipc::FutexWake(header_.wake);
}

void Channel::Admit() {
  header_.admitted.store(1, std::memory_order_release);
  Wake();
}

std::uint32_t Channel::Give(bool large) {
  given_ = (given_ + 1) % ipc::kCallNumbers;
  std::uint32_t& word = words_[given_ % ipc::kCalls];
  word = ipc::CallWord(given_, large, ipc::CallState::kOffered);
  header_.calls[given_ % ipc::kCalls].store(word, std::memory_order_release);
  Wake();
  return given_;
}

bool Channel::Revoke(std::uint32_t number) {
  std::uint32_t& word = words_[number % ipc::kCalls];
  std::uint32_t offered = word;
  const std::uint32_t revoked = ipc::WithState(word, ipc::CallState::kRevoked);
  if (!header_.calls[number % ipc::kCalls].compare_exchange_strong(offered, revoked)) return false;
  word = revoked;
  return true;
}

void Channel::CopyRequest(std::uint32_t number, std::size_t size, Channel& to) {
  std::memcpy(to.small_area(), Area(number, false), size);
}

void Channel::Leave() {
  header_.leave.store(1, std::memory_order_release);
  Wake();
}

void Channel::ReleaseRing() {
  if (!ring_.Release()) return;
  // A worker that waits for work has no use for room: waking it would cost two context switches per invocation.
  header_.wake.store(++wakes_, std::memory_order_seq_cst);
  if (header_.sleeping.load(std::memory_order_seq_cst) == static_cast<std::uint32_t>(ipc::Sleep::kForRoom)) {
    ipc::FutexWake(header_.wake);
  }
}

bool Channel::Taken(std::uint32_t number) const {
  return header_.calls[number % ipc::kCalls].load(std::memory_order_acquire) ==
         ipc::WithState(words_[number % ipc::kCalls], ipc::CallState::kTaken);
}

bool Channel::Offered(std::uint32_t number) const {
  return header_.calls[number % ipc::kCalls].load(std::memory_order_acquire) == words_[number % ipc::kCalls];
}

bool Channel::Untouched() const {
  for (std::size_t i = 0; i < ipc::kCalls; ++i) {
    const std::uint32_t word = header_.calls[i].load(std::memory_order_relaxed);
    const bool taken = ipc::StateOf(words_[i]) == ipc::CallState::kOffered &&
                       word == ipc::WithState(words_[i], ipc::CallState::kTaken);
    if (word != words_[i] && !taken) return false;
  }
  return header_.admitted.load(std::memory_order_relaxed) == 1 &&
         header_.leave.load(std::memory_order_relaxed) == 0 &&
         header_.wake.load(std::memory_order_relaxed) == wakes_;
}

void Channel::Arm() {
  header_.armed.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void Channel::HandOver() {
  std::memset(base_, 0, sizeof(ipc::ChannelHeader));
  wakes_ = 0;
  new (&ring_) ipc::RingReader(header_, base_ + ipc::kRingOffset);
  given_ = 0;
  std::fill(std::begin(words_), std::end(words_), 0u);
}

void Channel::NoteWritten(std::size_t end) { written_ = std::max(written_, end); }

void Channel::Trim() {
  if (written_ <= kKeptRequestBytes) return;
  fallocate(memory_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
            static_cast<off_t>(ipc::kAreasOffset + ipc::kLargeArea + kKeptRequestBytes),
            static_cast<off_t>(ipc::RoundUp(written_ - kKeptRequestBytes, ipc::kPageBytes)));
  written_ = 0;
}

}  // namespace mayfly::runtime
