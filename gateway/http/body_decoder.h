// A BodyDecoder takes a request's body out of its framing, byte by byte and strictly.
//
// A chunked body is refused where it is not exactly what RFC 9112, section 7.1 says: sizes of one to fifteen
// hexadecimal digits, no space around them, lines that end with CR LF, extensions that are a name, or a name and
// a token or quoted string, trailers of bounded size without control bytes. Both are read and dropped.
//
// Belongs to one connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/http/http_options.h"
#include "gateway/http/request_head.h"

namespace mayfly::gateway {

class BodyDecoder {
 public:
  enum class Progress {
    // All input is taken, or there is no room; the body goes on.
    kMore,
    kDone,
    // The framing is broken: nothing after it can be understood.
    kBad,
    // There is more body than allowed.
    kTooLarge,
  };

  // Makes ready for the body that `head` announces, of at most `max_bytes`.
  void Start(const RequestHead& head, std::uint64_t max_bytes);

  // Takes from the front of `*input`, and appends at most `room` bytes of the body to `*out`.
  Progress Decode(std::string_view* input, const HttpLimits& limits, std::size_t room, std::string* out);

  bool done() const { return state_ == State::kDone; }
  // As Start() was told.
  std::uint64_t max_bytes() const { return max_bytes_; }

 private:
  enum class State {
    kLength,
    kSize,
    // After the semicolon, within the name, and after blanks behind it.
    kExtension,
    kExtensionName,
    kExtensionNameBlank,
    // After the equals sign, within the value, and after blanks behind it.
    kExtensionEquals,
    kExtensionToken,
    kExtensionQuoted,
    kExtensionEscape,
    kExtensionQuotedEnd,
    kExtensionValueBlank,
    kSizeLineFeed,
    kData,
    kDataReturn,
    kDataLineFeed,
    kTrailerStart,
    kTrailerName,
    kTrailerValue,
    kTrailerLineFeed,
    kLastLineFeed,
    kDone,
  };

  Progress DecodeChunked(std::string_view* input, const HttpLimits& limits, std::size_t room,
                         std::string* out);
  // Takes one byte of what is not data; false if it must not stand there.
  bool TakeFraming(char c, const HttpLimits& limits);
  bool TakeExtension(char c);

  State state_ = State::kDone;
  std::uint64_t remaining_ = 0;
  std::uint64_t allowed_ = 0;
  std::uint64_t max_bytes_ = 0;
  unsigned digits_ = 0;
  std::size_t extension_bytes_ = 0;
  std::size_t trailer_bytes_ = 0;
};

}  // namespace mayfly::gateway
