#include "operator/pki/authority.h"

#include <utility>

namespace mayfly::op {
namespace {

constexpr char kCertificate[] = "ca.crt";
constexpr char kKey[] = "ca.key";
constexpr char kComingCertificate[] = "coming.crt";
constexpr char kComingKey[] = "coming.key";
constexpr char kGoingCertificate[] = "going.crt";
constexpr char kRotation[] = "rotation";

std::string Find(const std::map<std::string, std::string>& data, const char* key) {
  const auto found = data.find(key);
  return found == data.end() ? "" : found->second;
}

}  // namespace

std::string Authority::Trusted() const {
  return signs.certificate + (coming ? coming->certificate : "") + going;
}

absl::StatusOr<std::optional<Authority>> NextStep(const Authority& authority, const AuthorityRules& rules,
                                                  const std::string& wish,
                                                  std::optional<base::WallTime> settled, base::WallTime now) {
  Authority next = authority;
  const bool spread = settled && now - *settled >= rules.spread;
  if (authority.coming) {
    if (!spread) return std::nullopt;
    next.going = std::exchange(next.signs, *std::exchange(next.coming, std::nullopt)).certificate;
    return next;
  }
  if (!authority.going.empty()) {
    if (!spread) return std::nullopt;
    next.going.clear();
    return next;
  }
  const absl::StatusOr<tls::Validity> validity = tls::ReadValidity(authority.signs.certificate);
  if (!validity.ok()) return validity.status();
  if (now < validity->RenewAt() && (wish.empty() || wish == authority.rotation)) return std::nullopt;
  absl::StatusOr<tls::KeyPair> made = tls::MakeAuthority(now, rules.life);
  if (!made.ok()) return made.status();
  next.coming = *std::move(made);
  next.rotation = wish;
  return next;
}

std::map<std::string, std::string> ToData(const Authority& authority) {
  // All keys always: what is not there any more has to be taken away.
  return {{kCertificate, authority.signs.certificate},
          {kKey, authority.signs.key},
          {kComingCertificate, authority.coming ? authority.coming->certificate : ""},
          {kComingKey, authority.coming ? authority.coming->key : ""},
          {kGoingCertificate, authority.going},
          {kRotation, authority.rotation}};
}

absl::StatusOr<std::optional<Authority>> FromData(const std::map<std::string, std::string>& data) {
  Authority authority;
  authority.signs = {.certificate = Find(data, kCertificate), .key = Find(data, kKey)};
  if (authority.signs == tls::KeyPair{}) return std::nullopt;
  tls::KeyPair coming{.certificate = Find(data, kComingCertificate), .key = Find(data, kComingKey)};
  if (coming != tls::KeyPair{}) authority.coming = std::move(coming);
  authority.going = Find(data, kGoingCertificate);
  authority.rotation = Find(data, kRotation);
  // That it can sign is what counts; the leaf itself is thrown away.
  for (const tls::KeyPair& pair : {authority.signs, authority.coming.value_or(authority.signs)}) {
    const auto leaf =
        tls::Issue(pair, "check", tls::Use::kBoth, base::WallTime::clock::now(), std::chrono::seconds(60));
    if (!leaf.ok()) return leaf.status();
  }
  return authority;
}

}  // namespace mayfly::op
