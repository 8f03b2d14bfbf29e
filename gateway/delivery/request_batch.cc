#include "gateway/delivery/request_batch.h"

#include <google/protobuf/io/coded_stream.h>

#include <cstring>
#include <utility>

#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {
namespace {

using google::protobuf::io::CodedOutputStream;

constexpr std::uint8_t Tag(int field, int wire_type) {
  return static_cast<std::uint8_t>(field << 3 | wire_type);
}
constexpr int kVarint = 0;
constexpr int kBytes = 2;

// Every field below has a number under 16, so that its tag is one byte.
constexpr std::uint8_t kPartsTag = Tag(v1::ServeRequest::kPartsFieldNumber, kBytes);
constexpr std::uint8_t kCallTag = Tag(v1::RequestPart::kCallFieldNumber, kVarint);
constexpr std::uint8_t kStartTag = Tag(v1::RequestPart::kStartFieldNumber, kBytes);
constexpr std::uint8_t kDataTag = Tag(v1::RequestPart::kDataFieldNumber, kBytes);
constexpr std::uint8_t kEndTag = Tag(v1::RequestPart::kEndFieldNumber, kVarint);
constexpr std::uint8_t kCancelTag = Tag(v1::RequestPart::kCancelFieldNumber, kVarint);
constexpr std::uint8_t kWindowTag = Tag(v1::RequestPart::kWindowFieldNumber, kVarint);
constexpr std::uint8_t kTimeoutTag = Tag(v1::Start::kTimeoutMsFieldNumber, kVarint);

std::size_t VarintField(std::uint64_t value) { return 1 + CodedOutputStream::VarintSize64(value); }
std::size_t BytesField(std::size_t size) { return VarintField(size) + size; }

std::size_t StartSize(const OutgoingPart& part) { return part.start.size() + VarintField(part.timeout_ms); }

std::size_t PartSize(const OutgoingPart& part) {
  std::size_t size = VarintField(part.call);
  if (!part.start.empty()) size += BytesField(StartSize(part));
  if (!part.data.empty()) size += BytesField(part.data.size());
  if (part.end) size += 2;
  if (part.cancel) size += 2;
  if (part.window != 0) size += VarintField(part.window);
  return size;
}

std::uint8_t* Varint(std::uint8_t tag, std::uint64_t value, std::uint8_t* out) {
  *out++ = tag;
  return CodedOutputStream::WriteVarint64ToArray(value, out);
}
std::uint8_t* Raw(std::string_view bytes, std::uint8_t* out) {
  std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

}  // namespace

void RequestBatch::Add(OutgoingPart part) {
  weight_ += part.start.size() + part.data.size() + 16;
  parts_.push_back(std::move(part));
}

void RequestBatch::Clear() {
  parts_.clear();
  sizes_.clear();
  weight_ = 0;
}

std::size_t RequestBatch::EncodedSize() {
  std::size_t total = 0;
  sizes_.clear();
  for (const OutgoingPart& part : parts_) total += BytesField(sizes_.emplace_back(PartSize(part)));
  return total;
}

void RequestBatch::EncodeTo(std::uint8_t* out) const {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const OutgoingPart& part = parts_[i];
    out = Varint(kPartsTag, sizes_[i], out);
    out = Varint(kCallTag, part.call, out);
    if (!part.start.empty()) {
      out = Varint(kStartTag, StartSize(part), out);
      out = Raw(part.start, out);
      out = Varint(kTimeoutTag, part.timeout_ms, out);
    }
    if (!part.data.empty()) {
      out = Varint(kDataTag, part.data.size(), out);
      out = Raw(part.data, out);
    }
    if (part.end) out = Varint(kEndTag, 1, out);
    if (part.cancel) out = Varint(kCancelTag, 1, out);
    if (part.window != 0) out = Varint(kWindowTag, part.window, out);
  }
}

}  // namespace mayfly::gateway
