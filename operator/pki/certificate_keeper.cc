#include "operator/pki/certificate_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "base/log.h"
#include "base/thread.h"

namespace mayfly::op {
namespace {

std::map<std::string, std::string> ToData(const tls::Material& material) {
  return {{tls::kCertificateFile, material.own.certificate},
          {tls::kKeyFile, material.own.key},
          {tls::kAuthoritiesFile, material.authorities}};
}

tls::Material ToMaterial(Secret secret) {
  return {.own = {.certificate = std::move(secret.data[tls::kCertificateFile]),
                  .key = std::move(secret.data[tls::kKeyFile])},
          .authorities = std::move(secret.data[tls::kAuthoritiesFile])};
}

std::string ToString(const SecretName& name) { return name.space + "/" + name.name; }

}  // namespace

CertificateKeeper::CertificateKeeper(SecretStore& store, CertificateKeeperOptions options,
                                     std::function<std::vector<std::string>()> spaces,
                                     const base::Clock& clock, base::Metrics& metrics)
    : store_(store),
      options_(std::move(options)),
      spaces_(std::move(spaces)),
      clock_(clock),
      metrics_(metrics),
      failures_(metrics.Counter("mayfly_operator_certificate_failures_total",
                                "Failures to keep a Secret with a certificate as it should be.")),
      authority_expires_(metrics.Gauge("mayfly_operator_authority_expiration_timestamp_seconds",
                                       "When the authority that signs certificates expires.")),
      authority_name_{options_.space, options_.authority} {}

absl::StatusOr<tls::Identity*> CertificateKeeper::Open() {
  const std::lock_guard lock(mutex_);
  if (absl::Status status = ReadAuthority(); !status.ok()) return status;
  if (absl::Status status = KeepOwn(); !status.ok()) return status;
  return identity_.get();
}

void CertificateKeeper::Start() {
  thread_ = base::StartThread("certificates", [this](std::stop_token stop) {
    std::mutex idle;
    std::condition_variable_any never;
    while (!stop.stop_requested()) {
      Look().IgnoreError();  // told already
      std::unique_lock lock(idle);
      clock_.WaitUntil(lock, never, stop, clock_.Now() + options_.look, [] { return false; });
    }
  });
}

absl::Status CertificateKeeper::Prepare(const std::string& space) {
  const SecretName name{space, options_.runtime};
  const std::lock_guard lock(mutex_);
  if (kept_.contains(name)) return absl::OkStatus();
  return Keep(name, tls::RuntimeName(space), tls::Use::kServer);
}

absl::Status CertificateKeeper::Look() {
  const std::lock_guard lock(mutex_);
  const std::vector<std::string> spaces = spaces_();
  const base::WallTime now = clock_.WallNow();
  absl::Status first;
  const auto note = [&](const SecretName& name, const absl::Status& status) {
    if (status.ok()) {
      complaints_.erase(name);
      return;
    }
    Fail(name, status);
    if (first.ok()) first = status;
  };
  absl::Status status = ReadAuthority();
  if (status.ok()) {
    auto next = NextStep(*authority_, options_.rules, authority_secret_.wish, settled_, now);
    status = next.status();
    if (next.ok() && *next) {
      status = store_.Replace(authority_name_, ToData(**next), authority_secret_.version);
      if (status.ok()) {
        authority_ = *std::move(*next);
        settled_.reset();
        base::log::Info("authorities follow one another",
                        {{"step", authority_->coming          ? "a new one is trusted"
                                  : authority_->going.empty() ? "the old one is forgotten"
                                                              : "the new one signs"}});
      }
    }
  }
  note(authority_name_, status);
  if (!status.ok()) return first;
  note({options_.space, "operator"}, KeepOwn());
  note({options_.space, options_.gateway},
       Keep({options_.space, options_.gateway}, tls::kGatewayName, tls::Use::kClient));
  for (const std::string& space : spaces) {
    const SecretName name{space, options_.runtime};
    note(name, Keep(name, tls::RuntimeName(space), tls::Use::kServer));
  }
  Forget(spaces);
  if (!first.ok()) {
    settled_.reset();
  } else if (!settled_) {
    settled_ = now;
  }
  return first;
}

absl::Status CertificateKeeper::ReadAuthority() {
  absl::StatusOr<Secret> secret = store_.Get(authority_name_);
  if (!secret.ok())
    return base::WithContext(secret.status(),
                             "the Secret " + ToString(authority_name_) + " of the authority");
  if (authority_ && secret->version == authority_secret_.version) return absl::OkStatus();
  absl::StatusOr<std::optional<Authority>> read = FromData(secret->data);
  if (!read.ok()) {
    return base::WithContext(read.status(), fmt::format("the Secret {} (empty it, and another one is made)",
                                                        ToString(authority_name_)));
  }
  if (!*read) {
    absl::StatusOr<tls::KeyPair> made = tls::MakeAuthority(clock_.WallNow(), options_.rules.life);
    if (!made.ok()) return made.status();
    *read = Authority{.signs = *std::move(made), .coming = {}, .going = {}, .rotation = secret->wish};
    const absl::Status status = store_.Replace(authority_name_, ToData(**read), secret->version);
    if (!status.ok()) return base::WithContext(status, "the Secret " + ToString(authority_name_));
    base::log::Info("an authority of its own is made", {{"secret", ToString(authority_name_)}});
    secret = store_.Get(authority_name_);
    if (!secret.ok()) return secret.status();
  }
  if (authority_ != **read) settled_.reset();
  authority_ = std::move(**read);
  authority_secret_ = *std::move(secret);
  const absl::StatusOr<tls::Validity> validity = tls::ReadValidity(authority_->signs.certificate);
  if (validity.ok())
    authority_expires_.Set(static_cast<double>(std::chrono::system_clock::to_time_t(validity->end)));
  return validity.status();
}

absl::Status CertificateKeeper::KeepOwn() {
  if (identity_ != nullptr && !IsDue(own_, tls::kOperatorName, clock_.WallNow())) return absl::OkStatus();
  absl::StatusOr<tls::Material> material = IssueFor(tls::kOperatorName, tls::Use::kBoth);
  if (!material.ok()) return material.status();
  own_ = *material;
  if (identity_ != nullptr) return identity_->Replace(*std::move(material));
  auto identity = tls::Identity::FromMaterial(*std::move(material), clock_, metrics_);
  if (!identity.ok()) return identity.status();
  identity_ = *std::move(identity);
  return absl::OkStatus();
}

absl::Status CertificateKeeper::Keep(const SecretName& name, const std::string& peer, tls::Use use) {
  const base::WallTime now = clock_.WallNow();
  Kept& kept = kept_[name];
  if (kept.read != base::WallTime{} && now - kept.read < options_.doubt && !IsDue(kept.material, peer, now))
    return absl::OkStatus();
  const auto keep = [&]() -> absl::Status {
    absl::StatusOr<Secret> secret = store_.Get(name);
    if (!secret.ok() && !absl::IsNotFound(secret.status())) return secret.status();
    kept.material = secret.ok() ? ToMaterial(*std::move(secret)) : tls::Material{};
    if (IsDue(kept.material, peer, now)) {
      absl::StatusOr<tls::Material> material = IssueFor(peer, use);
      if (!material.ok()) return material.status();
      const bool owned = name.space == options_.space;
      absl::Status status = store_.Put(name, ToData(*material), owned ? authority_name_ : SecretName{},
                                       owned ? authority_secret_.uid : "");
      if (!status.ok()) return status;
      kept.material = *std::move(material);
    }
    kept.read = now;
    return absl::OkStatus();
  };
  const absl::Status status = keep();
  if (status.ok()) return status;
  kept_.erase(name);
  return base::WithContext(status,
                           fmt::format("the Secret {} with the certificate of {}", ToString(name), peer));
}

bool CertificateKeeper::IsDue(const tls::Material& material, const std::string& peer,
                              base::WallTime now) const {
  if (material.authorities != authority_->Trusted()) return true;
  const absl::StatusOr<std::vector<std::string>> names = tls::ReadNames(material.own.certificate);
  if (!names.ok() || *names != std::vector{peer}) return true;
  const absl::StatusOr<tls::Validity> validity = tls::ReadValidity(material.own.certificate);
  if (!validity.ok() || now >= validity->RenewAt()) return true;
  return !tls::Check({.own = material.own, .authorities = authority_->signs.certificate}, now).ok();
}

absl::StatusOr<tls::Material> CertificateKeeper::IssueFor(const std::string& peer, tls::Use use) const {
  absl::StatusOr<tls::KeyPair> pair =
      tls::Issue(authority_->signs, peer, use, clock_.WallNow(), options_.life);
  if (!pair.ok()) return pair.status();
  return tls::Material{.own = *std::move(pair), .authorities = authority_->Trusted()};
}

void CertificateKeeper::Forget(const std::vector<std::string>& spaces) {
  for (auto kept = kept_.begin(); kept != kept_.end();) {
    const SecretName& name = kept->first;
    if (name.name != options_.runtime ||
        std::find(spaces.begin(), spaces.end(), name.space) != spaces.end()) {
      ++kept;
      continue;
    }
    // It is tried once: a Secret that stays behind says nothing once it has expired.
    store_.Delete(name).IgnoreError();
    complaints_.erase(name);
    kept = kept_.erase(kept);
  }
}

void CertificateKeeper::Fail(const SecretName& name, const absl::Status& status) {
  failures_.Increment();
  const std::string why(status.message());
  std::string& complaint = complaints_[name];
  if (complaint == why) return;
  complaint = why;
  base::log::Error("a certificate is not as it should be, and is tried again", {{"why", why}});
  store_.Warn(authority_name_, authority_secret_.uid, why);
}

}  // namespace mayfly::op
