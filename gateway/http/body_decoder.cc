#include "gateway/http/body_decoder.h"

#include <algorithm>

#include "base/hex.h"

namespace mayfly::gateway {

void BodyDecoder::Start(const RequestHead& head, std::uint64_t max_bytes) {
  *this = BodyDecoder();
  allowed_ = max_bytes;
  max_bytes_ = max_bytes;
  if (head.body == RequestHead::Body::kChunked) state_ = State::kSize;
  if (head.body == RequestHead::Body::kLength) {
    state_ = State::kLength;
    remaining_ = head.content_length;
  }
}

BodyDecoder::Progress BodyDecoder::Decode(std::string_view* input, const HttpLimits& limits, std::size_t room,
                                          std::string* out) {
  if (state_ == State::kDone) return Progress::kDone;
  if (state_ != State::kLength) return DecodeChunked(input, limits, room, out);
  if (remaining_ > allowed_) return Progress::kTooLarge;
  const std::size_t take =
      static_cast<std::size_t>(std::min<std::uint64_t>({input->size(), room, remaining_}));
  out->append(input->substr(0, take));
  input->remove_prefix(take);
  remaining_ -= take;
  allowed_ -= take;
  if (remaining_ > 0) return Progress::kMore;
  state_ = State::kDone;
  return Progress::kDone;
}

BodyDecoder::Progress BodyDecoder::DecodeChunked(std::string_view* input, const HttpLimits& limits,
                                                 std::size_t room, std::string* out) {
  while (!input->empty()) {
    if (state_ == State::kData) {
      const std::size_t take =
          static_cast<std::size_t>(std::min<std::uint64_t>({input->size(), room, remaining_}));
      if (take == 0) return Progress::kMore;
      out->append(input->substr(0, take));
      input->remove_prefix(take);
      room -= take;
      remaining_ -= take;
      if (remaining_ == 0) state_ = State::kDataReturn;
      continue;
    }
    const char c = input->front();
    input->remove_prefix(1);
    if (!TakeFraming(c, limits)) return Progress::kBad;
    if (state_ == State::kDone) return Progress::kDone;
    if (state_ == State::kData) {
      // The size is known: what is too much is refused before it comes.
      if (remaining_ > allowed_) return Progress::kTooLarge;
      allowed_ -= remaining_;
    }
  }
  return Progress::kMore;
}

bool BodyDecoder::TakeExtension(char c) {
  const bool blank = c == ' ' || c == '\t';
  const bool token = IsToken({&c, 1});
  const auto go = [&](State state) {
    state_ = state;
    return true;
  };
  switch (state_) {
    case State::kExtension:
      return blank || (token && go(State::kExtensionName));
    case State::kExtensionName:
      if (token) return true;
      [[fallthrough]];
    case State::kExtensionNameBlank:
      if (blank) return go(State::kExtensionNameBlank);
      if (c == '=') return go(State::kExtensionEquals);
      return c == ';' && go(State::kExtension);
    case State::kExtensionEquals:
      if (c == '"') return go(State::kExtensionQuoted);
      return blank || (token && go(State::kExtensionToken));
    case State::kExtensionQuoted:
      if (c == '"') return go(State::kExtensionQuotedEnd);
      return c != '\\' || go(State::kExtensionEscape);
    case State::kExtensionEscape:
      return go(State::kExtensionQuoted);
    case State::kExtensionToken:
      if (token) return true;
      [[fallthrough]];
    case State::kExtensionQuotedEnd:
    case State::kExtensionValueBlank:
      if (blank) return go(State::kExtensionValueBlank);
      return c == ';' && go(State::kExtension);
    default:
      return false;
  }
}

bool BodyDecoder::TakeFraming(char c, const HttpLimits& limits) {
  constexpr unsigned kMostDigits = 15;
  const bool control = (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7F;
  switch (state_) {
    case State::kSize: {
      const int digit = base::HexDigit(c);
      if (digit >= 0) {
        remaining_ = remaining_ * 16 + static_cast<std::uint64_t>(digit);
        return ++digits_ <= kMostDigits;
      }
      if (digits_ == 0) return false;
      if (c == ';') state_ = State::kExtension;
      if (c == '\r') state_ = State::kSizeLineFeed;
      return c == ';' || c == '\r';
    }
    case State::kExtension:
    case State::kExtensionName:
    case State::kExtensionNameBlank:
    case State::kExtensionEquals:
    case State::kExtensionToken:
    case State::kExtensionQuoted:
    case State::kExtensionEscape:
    case State::kExtensionQuotedEnd:
    case State::kExtensionValueBlank:
      if (c == '\r') {
        const bool whole = state_ == State::kExtensionName || state_ == State::kExtensionToken ||
                           state_ == State::kExtensionQuotedEnd;
        state_ = State::kSizeLineFeed;
        return whole;
      }
      return !control && ++extension_bytes_ <= limits.chunk_extension_bytes && TakeExtension(c);
    case State::kSizeLineFeed:
      state_ = remaining_ > 0 ? State::kData : State::kTrailerStart;
      digits_ = 0;
      return c == '\n';
    case State::kDataReturn:
      state_ = State::kDataLineFeed;
      return c == '\r';
    case State::kDataLineFeed:
      state_ = State::kSize;
      return c == '\n';
    case State::kTrailerStart:
      if (c == '\r') {
        state_ = State::kLastLineFeed;
        return true;
      }
      state_ = State::kTrailerName;
      return IsToken({&c, 1}) && c != '_' && ++trailer_bytes_ <= limits.trailer_bytes;
    case State::kTrailerName:
      if (c == ':') {
        state_ = State::kTrailerValue;
        return true;
      }
      return IsToken({&c, 1}) && c != '_' && ++trailer_bytes_ <= limits.trailer_bytes;
    case State::kTrailerValue:
      if (c == '\r') {
        state_ = State::kTrailerLineFeed;
        return true;
      }
      return !control && ++trailer_bytes_ <= limits.trailer_bytes;
    case State::kTrailerLineFeed:
      state_ = State::kTrailerStart;
      return c == '\n';
    case State::kLastLineFeed:
      state_ = State::kDone;
      return c == '\n';
    case State::kLength:
    case State::kData:
    case State::kDone:
      break;
  }
  return false;
}

}  // namespace mayfly::gateway
