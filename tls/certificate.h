// Certificates: making an authority, issuing with it, and telling what is wrong with one.
//
// Keys are ECDSA on P-256. All text is PEM. Stateless; every function may be called from any thread.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace mayfly::tls {

struct KeyPair {
  std::string certificate;
  std::string key;

  bool operator==(const KeyPair&) const = default;
};

// What a process needs to speak TLS: who it is, and whose certificates it trusts.
struct Material {
  KeyPair own;              // the certificate may be followed by those between it and an authority
  std::string authorities;  // one or more

  bool operator==(const Material&) const = default;
};

// On which side of a connection a certificate is good.
enum class Use { kClient, kServer, kBoth };

struct Validity {
  base::WallTime begin;
  base::WallTime end;

  // When two thirds are over: time for another one.
  base::WallTime RenewAt() const { return begin + (end - begin) / 3 * 2; }
};

// A self-signed authority that may issue leaves only. It is good from some minutes before `now`: clocks differ.
absl::StatusOr<KeyPair> MakeAuthority(base::WallTime now, std::chrono::seconds life);

// A leaf for the DNS name `name`. It does not outlive its authority.
absl::StatusOr<KeyPair> Issue(const KeyPair& authority, const std::string& name, Use use, base::WallTime now,
                              std::chrono::seconds life);

// Both are of the first certificate in `pem`; kInvalidArgument if there is none.
absl::StatusOr<Validity> ReadValidity(const std::string& pem);
absl::StatusOr<std::vector<std::string>> ReadNames(const std::string& pem);

// Why peers would refuse it at `now`, in a sentence: no PEM, a key of another certificate, expired, no authority's.
absl::Status Check(const Material& material, base::WallTime now);

}  // namespace mayfly::tls
