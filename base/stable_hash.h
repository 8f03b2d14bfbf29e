// FNV-1a of 64 bits: the same in every process and on every machine. Not for what an attacker chooses.
#pragma once

#include <cstdint>
#include <string_view>

namespace mayfly::base {

// After http://www.isthe.com/chongo/tech/comp/fnv.
constexpr std::uint64_t StableHash(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace mayfly::base
