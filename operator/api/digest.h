// Digests as they are written in manifests, names and logs.
#pragma once

#include <string>
#include <string_view>

namespace mayfly::op {

// The SHA-256 of `bytes` in lower-case hexadecimal: 64 digits.
std::string Sha256Hex(std::string_view bytes);

}  // namespace mayfly::op
