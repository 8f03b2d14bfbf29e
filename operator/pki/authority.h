// An Authority is what the operator signs with, and how one follows another without anybody being cut off:
//
//   steady      one is trusted, and signs
//   coming      another one is trusted too, everywhere, before it signs anything
//   going       the other one signs; the first is trusted until nobody shows its certificates any more
//
// Decisions only: CertificateKeeper carries them out.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "tls/certificate.h"

namespace mayfly::op {

struct Authority {
  tls::KeyPair signs;
  std::optional<tls::KeyPair> coming;
  std::string going;     // a certificate; "": none
  std::string rotation;  // which wish of a person's was fulfilled last

  // All that are trusted, the one that signs first.
  std::string Trusted() const;

  bool operator==(const Authority&) const = default;
};

struct AuthorityRules {
  std::chrono::seconds life{std::chrono::hours(24) * 3650};
  // How long a change takes to reach every process, at most: kubelets look at Secrets once a minute or two.
  std::chrono::seconds spread{300};
};

// The step that is due, if any. `wish` is what a person wrote to ask for another authority, and counts when it is new.
// `settled`: since when everybody's Secret is as `authority` wants it; none while one is not.
absl::StatusOr<std::optional<Authority>> NextStep(const Authority& authority, const AuthorityRules& rules,
                                                  const std::string& wish,
                                                  std::optional<base::WallTime> settled, base::WallTime now);

// As the data of a Secret. Reading gives none from no data, and kInvalidArgument from what is no authority.
std::map<std::string, std::string> ToData(const Authority& authority);
absl::StatusOr<std::optional<Authority>> FromData(const std::map<std::string, std::string>& data);

}  // namespace mayfly::op
