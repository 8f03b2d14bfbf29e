// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
//
// A protobuf string that is none makes its whole message unreadable to whoever gets it, so text that strangers wrote is
// cleaned before it goes into one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mayfly::base {

// Where `text` stops being UTF-8; npos if nowhere.
std::size_t FindInvalidUtf8(std::string_view text);

inline bool IsUtf8(std::string_view text) { return FindInvalidUtf8(text) == std::string_view::npos; }

// `text` with U+FFFD in the place of each byte that belongs to no character.
std::string CleanUtf8(std::string_view text);

// The first `max_bytes` of `text`, or up to three fewer where a character would be cut in two.
inline std::string_view CutUtf8(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  std::size_t end = max_bytes;
  for (int i = 0; i < 3 && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80; ++i) --end;
  // So many bytes that continue a character make none.
  if ((static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80) end = max_bytes;
  return text.substr(0, end);
}

}  // namespace mayfly::base
