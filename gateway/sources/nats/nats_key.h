// NKeys, by which NATS knows its users: Ed25519 keys written in base32, and .creds files that carry one.
//
// Functions here are pure. No error has a seed in it.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mayfly::gateway {

// The public key ("U…") of a user's seed ("SU…"). kInvalidArgument if it is none.
absl::StatusOr<std::string> NatsPublicKeyOf(std::string_view seed);

// The signature of `nonce`, 64 bytes.
absl::StatusOr<std::string> NatsSign(std::string_view seed, std::string_view nonce);

// What is in a .creds file: the user's JWT, and the seed of its key.
absl::StatusOr<std::string> NatsJwtOf(std::string_view creds);
absl::StatusOr<std::string> NatsSeedOf(std::string_view creds);

}  // namespace mayfly::gateway
