// Credentials are what the Secret of a trigger says, by the keys that all kinds of sources have in common.
//
// Values are in no error.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "mayfly/v1/triggers.pb.h"

namespace mayfly::gateway {

inline constexpr std::string_view kUsername = "username";
inline constexpr std::string_view kPassword = "password";
inline constexpr std::string_view kToken = "token";
inline constexpr std::string_view kNkeySeed = "nkey-seed";
inline constexpr std::string_view kCreds = "creds";  // a file of NATS, with a JWT and a seed
inline constexpr std::string_view kCa = "ca.crt";    // PEM: whom to trust, instead of whom the system trusts
inline constexpr std::string_view kCertificate = "tls.crt";  // PEM, with kKey
inline constexpr std::string_view kKey = "tls.key";
inline constexpr std::string_view kSecret = "secret";  // what webhooks are signed with: one a line

class Credentials {
 public:
  // Those of `trigger` that its kind understands, `taken`. Without EventTrigger.secret_name there are none, which is right.
  // kInvalidArgument names the Secret and the key that is missing: none of `taken` is there, a user name without its
  // password, a certificate without its key, or the reverse.
  static absl::StatusOr<Credentials> Of(const v1::EventTrigger& trigger,
                                        const std::vector<std::string_view>& taken);

  bool Has(std::string_view key) const { return values_.contains(key); }
  // "" if it is not there. A line break at the end, as files have it, is not part of a user name, password, token or seed.
  const std::string& Get(std::string_view key) const;
  // What is in the value of `key`, one a line, without empty lines.
  std::vector<std::string> Lines(std::string_view key) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace mayfly::gateway
