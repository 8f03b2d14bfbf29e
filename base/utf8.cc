#include "base/utf8.h"

namespace mayfly::base {
namespace {

// How many bytes the character at the start of `text` has; 0 if there is none. REQUIRES: text is not empty.
std::size_t CharacterSize(std::string_view text) {
  const auto byte = [text](std::size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  // The second byte's range rules out overlong forms, surrogates and what is too high.
  const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  return size;
}

}  // namespace

std::size_t FindInvalidUtf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = CharacterSize(text.substr(at));
    if (size == 0) return at;
    at += size;
  }
  return std::string_view::npos;
}

std::string CleanUtf8(std::string_view text) {
  std::string clean;
  while (!text.empty()) {
    const std::size_t good = FindInvalidUtf8(text);
    clean.append(text.substr(0, good));
    if (good == std::string_view::npos) break;
    clean.append("\xef\xbf\xbd");
    text.remove_prefix(good + 1);
  }
  return clean;
}

}  // namespace mayfly::base
