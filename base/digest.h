// SHA-256, at once, of bytes in memory.
#pragma once

#include <string>
#include <string_view>

namespace mayfly::base {

// 32 bytes.
std::string Sha256(std::string_view bytes);

// As digests are written in manifests, names and logs: 64 digits, lower-case hexadecimal.
std::string Sha256Hex(std::string_view bytes);

}  // namespace mayfly::base
