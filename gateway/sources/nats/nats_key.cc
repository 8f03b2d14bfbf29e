#include "gateway/sources/nats/nats_key.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

#include "gateway/sources/text.h"

namespace mayfly::gateway {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::uint8_t kSeedPrefix = 18 << 3;  // "S"
constexpr std::uint8_t kUserPrefix = 20 << 3;  // "U"
constexpr std::size_t kKeyBytes = 32;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

bool DecodeBase32(std::string_view text, std::string* bytes) {
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return false;
    bits = (bits << 5 | static_cast<std::uint32_t>(value)) & 0xFFFFF;
    count += 5;
    if (count < 8) continue;
    count -= 8;
    bytes->push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return true;
}

std::string EncodeBase32(std::string_view bytes) {
  std::string text;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char byte : bytes) {
    bits = (bits << 8 | static_cast<std::uint8_t>(byte)) & 0xFFFFF;
    for (count += 8; count >= 5;) {
      count -= 5;
      text += kAlphabet[bits >> count & 31];
    }
  }
  if (count > 0) text += kAlphabet[bits << (5 - count) & 31];
  return text;
}

// CRC-16/XMODEM.
std::uint16_t Crc16(std::string_view bytes) {
  std::uint16_t crc = 0;
  for (const char byte : bytes) {
    crc ^= static_cast<std::uint16_t>(static_cast<std::uint8_t>(byte) << 8);
    for (int i = 0; i < 8; ++i)
      crc = static_cast<std::uint16_t>((crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1);
  }
  return crc;
}

absl::StatusOr<Key> KeyOf(std::string_view seed) {
  const absl::Status wrong = absl::InvalidArgumentError(
      "the NKey seed is not one of a user: it begins with SU, and has 58 letters and digits");
  std::string raw;
  // Two bytes say what it is, two at the end that it is whole.
  if (!DecodeBase32(StripSpace(seed), &raw) || raw.size() != kKeyBytes + 4) return wrong;
  const std::string_view body(raw.data(), raw.size() - 2);
  const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(raw[at]); };
  const std::uint16_t crc = static_cast<std::uint16_t>(byte(raw.size() - 2) | byte(raw.size() - 1) << 8);
  const std::uint8_t kind = static_cast<std::uint8_t>((byte(0) & 7) << 5 | byte(1) >> 3);
  if (crc != Crc16(body) || (byte(0) & 0xF8) != kSeedPrefix || kind != kUserPrefix) return wrong;
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                       reinterpret_cast<const unsigned char*>(raw.data()) + 2, kKeyBytes),
          &EVP_PKEY_free);
  std::fill(raw.begin(), raw.end(), '\0');
  if (key == nullptr) return wrong;
  return key;
}

// The first text of one line that comes after a line which has `title` in it.
absl::StatusOr<std::string> SectionOf(std::string_view creds, std::string_view title) {
  bool inside = false;
  for (const std::string_view line : Split(creds, '\n')) {
    const std::string_view text = StripSpace(line);
    if (text.starts_with("-----") || text.starts_with("------")) {
      inside = text.find("BEGIN") != std::string_view::npos && text.find(title) != std::string_view::npos;
    } else if (inside && !text.empty()) {
      return std::string(text);
    }
  }
  return absl::InvalidArgumentError(
      "creds is not the text of a .creds file, with a user's JWT and an NKey seed");
}

}  // namespace

absl::StatusOr<std::string> NatsPublicKeyOf(std::string_view seed) {
  const absl::StatusOr<Key> key = KeyOf(seed);
  if (!key.ok()) return key.status();
  std::string raw(1 + kKeyBytes, '\0');
  raw[0] = static_cast<char>(kUserPrefix);
  std::size_t size = kKeyBytes;
  if (EVP_PKEY_get_raw_public_key(key->get(), reinterpret_cast<unsigned char*>(raw.data()) + 1, &size) != 1)
    return absl::InternalError("the public key of an NKey seed could not be made");
  const std::uint16_t crc = Crc16(raw);
  raw += static_cast<char>(crc & 0xFF);
  raw += static_cast<char>(crc >> 8);
  return EncodeBase32(raw);
}

absl::StatusOr<std::string> NatsSign(std::string_view seed, std::string_view nonce) {
  const absl::StatusOr<Key> key = KeyOf(seed);
  if (!key.ok()) return key.status();
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  std::string signature(64, '\0');
  std::size_t size = signature.size();
  if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key->get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     reinterpret_cast<const unsigned char*>(nonce.data()), nonce.size()) != 1) {
    return absl::InternalError("the server's nonce could not be signed");
  }
  return signature;
}

absl::StatusOr<std::string> NatsJwtOf(std::string_view creds) { return SectionOf(creds, "NATS USER JWT"); }
absl::StatusOr<std::string> NatsSeedOf(std::string_view creds) { return SectionOf(creds, "NKEY SEED"); }

}  // namespace mayfly::gateway
