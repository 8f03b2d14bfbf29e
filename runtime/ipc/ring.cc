#include "runtime/ipc/ring.h"

#include <algorithm>
#include <cstring>

namespace mayfly::ipc {

static_assert(kRingBytes % 8 == 0 && sizeof(RecordHeader) == 8);

RingWriter::RingWriter(ChannelHeader& header, char* ring) : header_(header), ring_(ring) {}

std::size_t RingWriter::Room() const {
  const std::uint64_t used = written_ - header_.ring_read.load(std::memory_order_acquire);
  if (used + sizeof(RecordHeader) + 8 > kRingBytes) return 0;
  return kRingBytes - static_cast<std::size_t>(used) - sizeof(RecordHeader);
}

void RingWriter::Put(RecordKind kind, const void* a, std::size_t a_size, const void* b, std::size_t b_size) {
  const RecordHeader record{static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(a_size + b_size)};
  Copy(&record, sizeof(record));
  Copy(a, a_size);
  Copy(b, b_size);
  written_ = RoundUp(written_, 8);
}

bool RingWriter::Publish() {
  if (published_ == written_) return false;
  published_ = written_;
  header_.ring_written.store(written_, std::memory_order_release);
  return true;
}

bool RingWriter::Drained() const { return header_.ring_read.load(std::memory_order_acquire) == published_; }

void RingWriter::Copy(const void* data, std::size_t size) {
  if (size == 0) return;
  const std::size_t at = written_ % kRingBytes;
  const std::size_t first = std::min(size, kRingBytes - at);
  std::memcpy(ring_ + at, data, first);
  std::memcpy(ring_, static_cast<const char*>(data) + first, size - first);
  written_ += size;
}

RingReader::RingReader(ChannelHeader& header, const char* ring) : header_(header), ring_(ring) {}

RingReader::Result RingReader::Next(std::uint64_t window, RecordKind& kind, std::string& payload) {
  if (data_left_ == 0) {
    const std::uint64_t available = header_.ring_written.load(std::memory_order_acquire) - read_;
    if (available == 0) return Result::kEmpty;
    if (available > kRingBytes || available < sizeof(RecordHeader)) return Result::kBroken;
    RecordHeader record;
    Copy(&record, read_, sizeof(record));
    if (record.kind < static_cast<std::uint32_t>(RecordKind::kHead) ||
        record.kind > static_cast<std::uint32_t>(RecordKind::kDone)) {
      return Result::kBroken;
    }
    // Records are published whole. The size is 32 bits, so this cannot overflow.
    const std::size_t padded = RoundUp(record.size, 8);
    if (padded > available - sizeof(record)) return Result::kBroken;
    kind = static_cast<RecordKind>(record.kind);
    if (kind != RecordKind::kData) {
      Append(payload, read_ + sizeof(record), record.size);
      read_ += sizeof(record) + padded;
      return Result::kRecord;
    }
    if (record.size == 0) return Result::kBroken;
    if (window == 0) return Result::kBlocked;
    read_ += sizeof(record);
    data_left_ = record.size;
    data_padding_ = padded - record.size;
  }
  if (window == 0) return Result::kBlocked;
  kind = RecordKind::kData;
  const std::size_t take = static_cast<std::size_t>(std::min<std::uint64_t>(window, data_left_));
  Append(payload, read_, take);
  read_ += take;
  data_left_ -= take;
  if (data_left_ == 0) read_ += data_padding_;
  return Result::kRecord;
}

bool RingReader::HasMore() const {
  return data_left_ != 0 || header_.ring_written.load(std::memory_order_acquire) != read_;
}

bool RingReader::Release() {
  if (released_ == read_) return false;
  released_ = read_;
  header_.ring_read.store(read_, std::memory_order_release);
  return true;
}

void RingReader::Copy(void* to, std::uint64_t position, std::size_t size) const {
  const std::size_t at = position % kRingBytes;
  const std::size_t first = std::min(size, kRingBytes - at);
  std::memcpy(to, ring_ + at, first);
  std::memcpy(static_cast<char*>(to) + first, ring_, size - first);
}

void RingReader::Append(std::string& to, std::uint64_t position, std::size_t size) const {
  const std::size_t at = position % kRingBytes;
  const std::size_t first = std::min(size, kRingBytes - at);
  to.append(ring_ + at, first);
  to.append(ring_, size - first);
}

}  // namespace mayfly::ipc
