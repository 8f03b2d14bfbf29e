// Message authentication codes, and comparing them without telling by the time it takes where they differ.
//
// Functions here are pure.
#pragma once

#include <string>
#include <string_view>

namespace mayfly::gateway {

// 32 bytes.
std::string HmacSha256(std::string_view key, std::string_view message);

// How long it takes depends on the sizes alone.
bool EqualInConstantTime(std::string_view a, std::string_view b);

// … and on the size of `given` alone: nothing is told of a secret's size either.
bool IsSecret(std::string_view given, std::string_view secret);

// False if `text` is not an even number of digits.
bool DecodeHex(std::string_view text, std::string* bytes);

// Whether `signature` is the 64 bytes that Ed25519 gives for `message` by the private key of the 32 bytes `public_key`.
bool VerifyEd25519(std::string_view public_key, std::string_view message, std::string_view signature);

}  // namespace mayfly::gateway
