#include "gateway/http/request_ids.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdlib>

namespace mayfly::gateway {
namespace {

std::uint64_t Rotate(std::uint64_t value, int by) { return (value << by) | (value >> (64 - by)); }

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool AllZero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

// The trace id and flags of a valid traceparent of any version.
bool ReadTraceparent(std::string_view text, std::string_view* trace_id, std::string_view* flags) {
  if (text.size() < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const std::string_view version = text.substr(0, 2);
  if (!IsLowerHex(version) || version == "ff") return false;
  if (version == "00" ? text.size() != 55 : text.size() > 55 && text[55] != '-') return false;
  *trace_id = text.substr(3, 32);
  const std::string_view parent = text.substr(36, 16);
  *flags = text.substr(53, 2);
  return IsLowerHex(*trace_id) && IsLowerHex(parent) && IsLowerHex(*flags) && !AllZero(*trace_id) &&
         !AllZero(parent);
}

}  // namespace

IdSource::IdSource() {
  std::size_t filled = 0;
  while (filled < sizeof(state_)) {
    const ssize_t got = ::getrandom(reinterpret_cast<char*>(state_) + filled, sizeof(state_) - filled, 0);
    if (got > 0) filled += static_cast<std::size_t>(got);
  }
  state_[0] |= 1;  // Never all zero.
}

// xoshiro256**, by Blackman and Vigna (public domain): unique and unguessable enough for ids, which are no
// secrets.
std::uint64_t IdSource::NextRandom() {
  const std::uint64_t result = Rotate(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = Rotate(state_[3], 45);
  return result;
}

std::string IdSource::NextInvocationId(std::uint64_t unix_ms) {
  if (unix_ms > last_ms_) {
    last_ms_ = unix_ms;
    high_ = NextRandom() & 0xFFFF;
    low_ = NextRandom();
  } else if (++low_ == 0) {
    high_ = (high_ + 1) & 0xFFFF;
  }
  constexpr char kAlphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::string id(26, '0');
  std::uint64_t time = last_ms_;
  for (int i = 9; i >= 0; --i, time >>= 5) id[static_cast<std::size_t>(i)] = kAlphabet[time & 31];
  std::uint64_t high = high_;
  std::uint64_t low = low_;
  for (int i = 25; i >= 10; --i) {
    id[static_cast<std::size_t>(i)] = kAlphabet[low & 31];
    low = (low >> 5) | (high << 59);
    high >>= 5;
  }
  return id;
}

bool IsSafeRequestId(std::string_view id) {
  constexpr std::size_t kLongest = 128;
  return !id.empty() && id.size() <= kLongest && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == ':' || c == '+' || c == '/' || c == '=';
  });
}

TraceContext MakeTraceContext(const RequestHead& head, IdSource& ids) {
  std::string_view parent;
  int parents = 0;
  for (const HeaderField& field : head.headers) {
    if (field.name == "traceparent" && ++parents == 1) parent = field.value;
  }
  TraceContext context;
  std::string_view trace_id;
  std::string_view flags;
  const std::uint64_t span = ids.NextRandom() | 1;
  if (parents != 1 || !ReadTraceparent(parent, &trace_id, &flags)) {
    context.traceparent =
        fmt::format("00-{:016x}{:016x}-{:016x}-00", ids.NextRandom() | 1, ids.NextRandom(), span);
    return context;
  }
  context.traceparent = fmt::format("00-{}-{:016x}-{}", trace_id, span, flags);
  constexpr std::size_t kLongestState = 512;
  for (const HeaderField& field : head.headers) {
    if (field.name != "tracestate" || field.value.empty()) continue;
    if (!context.tracestate.empty()) context.tracestate += ',';
    context.tracestate += field.value;
  }
  if (context.tracestate.size() > kLongestState) context.tracestate.clear();
  return context;
}

}  // namespace mayfly::gateway
