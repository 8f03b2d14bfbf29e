// A RequestBatch gathers the parts of many calls and encodes them as one ServeRequest.
//
// It writes protobuf's wire format itself, out of bytes that the calls own: a call's start and body are
// encoded or copied once per send, and stay with the call, which may have to be sent again elsewhere.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace mayfly::gateway {

// One RequestPart. The views must stay valid while `owner` lives.
struct OutgoingPart {
  std::uint64_t call = 0;
  std::shared_ptr<const void> owner{};
  // An encoded v1::Start without its timeout_ms; no start if empty.
  std::string_view start{};
  std::uint32_t timeout_ms = 0;
  std::string_view data{};
  bool end = false;
  bool cancel = false;
  std::uint64_t window = 0;
};

class RequestBatch {
 public:
  void Add(OutgoingPart part);
  // Gives up the parts and what they own.
  void Clear();
  bool empty() const { return parts_.empty(); }
  // Roughly what the encoded batch weighs.
  std::size_t weight() const { return weight_; }

  // Encodes into a buffer of EncodedSize() bytes. REQUIRES: EncodedSize() was called after the last Add().
  std::size_t EncodedSize();
  void EncodeTo(std::uint8_t* out) const;

 private:
  std::vector<OutgoingPart> parts_;
  std::vector<std::size_t> sizes_;
  std::size_t weight_ = 0;
};

}  // namespace mayfly::gateway
