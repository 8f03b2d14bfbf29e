#include "runtime/worker/channel.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/ipc/futex.h"

namespace mayfly::worker {
namespace {

const char* MakePageThatChildrenFindEmpty() {
  void* page = mmap(nullptr, ipc::kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (madvise(page, ipc::kPageBytes, MADV_WIPEONFORK) != 0) {
    munmap(page, ipc::kPageBytes);
    return nullptr;
  }
  char* own = static_cast<char*>(page);
  *own = 1;
  return own;
}

}  // namespace

Channel::Channel(char* memory, const char* areas, int doorbell)
    : header_(*reinterpret_cast<ipc::ChannelHeader*>(memory)),
      ring_(header_, memory + ipc::kRingOffset),
      areas_(areas),
      doorbell_(doorbell),
      pid_(getpid()),
      own_(MakePageThatChildrenFindEmpty()) {}

template <typename Ready>
void Channel::SleepUntil(ipc::Sleep why, const Ready& ready) {
  while (true) {
    const std::uint32_t wake = header_.wake.load(std::memory_order_acquire);
    if (ready()) return;
    header_.sleeping.store(static_cast<std::uint32_t>(why), std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // The runtime changes `wake` before it looks at `sleeping`.
    if (header_.wake.load(std::memory_order_seq_cst) == wake) ipc::FutexWait(header_.wake, wake);
    header_.sleeping.store(0, std::memory_order_relaxed);
  }
}

void Channel::WaitUntilAdmitted() {
  SleepUntil(ipc::Sleep::kForWork, [this] { return header_.admitted.load(std::memory_order_acquire) != 0; });
}

const char* Channel::Next() {
  if (ring_.written() - begun_at_ > ipc::kSmallAnswerBytes) {
    WakeRuntime();
    SleepUntil(ipc::Sleep::kForRoom, [this] { return ring_.Drained(); });
  }
  bool taken = TakeNext();
  if (!taken) {
    WakeRuntime();
    SleepUntil(ipc::Sleep::kForWork, [this, &taken] {
      taken = TakeNext();
      return taken || header_.leave.load(std::memory_order_acquire) != 0;
    });
  }
  begun_at_ = ring_.written();
  return taken ? area_ : nullptr;
}

bool Channel::TakeNext() {
  while (true) {
    const std::uint32_t number = (taken_ + 1) % ipc::kCallNumbers;
    std::atomic<std::uint32_t>& word = header_.calls[number % ipc::kCalls];
    std::uint32_t seen = word.load(std::memory_order_acquire);
    const std::uint32_t ahead = (ipc::NumberOf(seen) - number) % ipc::kCallNumbers;
    // The place of a call that was revoked may have been used again since.
    const bool passed_over =
        ahead != 0 ? ahead < ipc::kCallNumbers / 2 && ipc::StateOf(seen) != ipc::CallState::kNone
                   : ipc::StateOf(seen) == ipc::CallState::kRevoked;
    if (passed_over) {
      taken_ = number;
      continue;
    }
    if (ahead != 0 || ipc::StateOf(seen) != ipc::CallState::kOffered) return false;
    if (!word.compare_exchange_strong(seen, ipc::WithState(seen, ipc::CallState::kTaken))) continue;
    taken_ = number;
    area_ = areas_ + ipc::AreaOf(number, ipc::IsLarge(seen));
    return true;
  }
}

void Channel::Put(ipc::RecordKind kind, const void* a, std::size_t a_size, const void* b,
                  std::size_t b_size) {
  EndStrayChild();
  WaitForRoom(a_size + b_size);
  ring_.Put(kind, a, a_size, b, b_size);
}

void Channel::PutData(const void* data, std::size_t size) {
  EndStrayChild();
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    WaitForRoom(std::min<std::size_t>(size, 4096));
    const std::size_t piece = std::min({size, ring_.Room(), ipc::kMaxDataRecord});
    ring_.Put(ipc::RecordKind::kData, at, piece);
    at += piece;
    size -= piece;
    if (size > 0) Flush();
  }
}

void Channel::Flush() {
  if (ring_.Publish()) WakeRuntime();
}

void Channel::WakeRuntime() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (header_.armed.load(std::memory_order_relaxed) == 0 || header_.armed.exchange(0) == 0) return;
  const std::uint64_t one = 1;
  // Nothing is to be done if it fails: the runtime also looks when its own timer fires.
  [[maybe_unused]] const ssize_t written = write(doorbell_, &one, sizeof(one));
}

void Channel::WaitForRoom(std::size_t bytes) {
  // Room() is 0 when even an empty record does not fit, so one byte more is asked for.
  const std::size_t wanted = std::max<std::size_t>(bytes, 1);
  if (ring_.Room() >= wanted) return;
  Flush();
  SleepUntil(ipc::Sleep::kForRoom, [this, wanted] { return ring_.Room() >= wanted; });
}

void Channel::EndStrayChild() const {
  const bool stray = own_ != nullptr ? *static_cast<const volatile char*>(own_) == 0 : getpid() != pid_;
  if (stray) _exit(0);
}

}  // namespace mayfly::worker
