#include "operator/kube/credentials.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "operator/kube/file_text.h"

namespace mayfly::kube {
namespace {

constexpr std::size_t kMaxFileBytes = 1u << 20;
constexpr std::chrono::seconds kPluginTime{30};
constexpr std::chrono::seconds kBeforeExpiry{15};

// Whether `text` can be the value of a header.
bool FitsHeader(std::string_view text) {
  return std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

}  // namespace

Credentials::Credentials(Config config, const base::Clock& clock)
    : config_(std::move(config)), clock_(clock) {}

absl::StatusOr<std::shared_ptr<const Identity>> Credentials::Current(base::MonotonicTime deadline) {
  const std::lock_guard lock(mutex_);
  const bool expiring = plugin_ && plugin_->expires && clock_.WallNow() >= *plugin_->expires - kBeforeExpiry;
  if (current_ && !stale_ && !expiring && clock_.Now() < assembled_ + kRereadAfter) return current_;
  if (config_.exec && (!plugin_ || stale_ || expiring)) {
    if (absl::Status ran = RunPlugin(deadline); !ran.ok()) return ran;
  }
  absl::StatusOr<Identity> identity = Assemble();
  if (!identity.ok()) return identity.status();
  assembled_ = clock_.Now();
  stale_ = false;
  if (!current_ || current_->authority != identity->authority || current_->headers != identity->headers ||
      current_->client_certificate != identity->client_certificate ||
      current_->client_key != identity->client_key) {
    current_ = std::make_shared<const Identity>(*std::move(identity));
  }
  return current_;
}

void Credentials::Invalidate(const std::shared_ptr<const Identity>& identity) {
  const std::lock_guard lock(mutex_);
  // What was refused may have been replaced meanwhile, for another caller.
  if (identity != current_) return;
  stale_ = true;
  for (auto& [file, cached] : files_) cached.read = {};
}

absl::StatusOr<std::string> Credentials::ReadFile(const std::string& file, std::string_view what) {
  CachedFile& cached = files_[file];
  if (!cached.text.empty() && cached.read != base::MonotonicTime() &&
      clock_.Now() < cached.read + kRereadAfter) {
    return cached.text;
  }
  absl::StatusOr<std::string> text = ReadFileText(file, kMaxFileBytes);
  if (text.ok() && absl::StripAsciiWhitespace(*text).empty()) {
    text = absl::FailedPreconditionError(absl::StrCat(file, ": is empty"));
  }
  if (!text.ok()) {
    const absl::Status status = base::WithContext(text.status(), config_.origin + ": " + std::string(what));
    if (cached.text.empty()) return status;
    if (!cached.failing) {
      base::log::Warn("credentials kept, their file cannot be read",
                      {{"error", std::string(status.message())}});
    }
    cached.failing = true;
    return cached.text;
  }
  cached = {*std::move(text), clock_.Now(), false};
  return cached.text;
}

absl::StatusOr<std::string> Credentials::Read(const PemSource& source, std::string_view what) {
  if (source.file.empty()) return source.data;
  return ReadFile(source.file, what);
}

absl::Status Credentials::RunPlugin(base::MonotonicTime deadline) {
  absl::StatusOr<ExecCredential> credential =
      RunExecPlugin(config_, std::min(deadline, std::chrono::steady_clock::now() + kPluginTime));
  if (!credential.ok()) return credential.status();
  plugin_ = *std::move(credential);
  return absl::OkStatus();
}

absl::StatusOr<Identity> Credentials::Assemble() {
  Identity identity;
  absl::StatusOr<std::string> authority = Read(config_.authority, "certificate-authority");
  if (!authority.ok()) return authority.status();
  identity.authority = *std::move(authority);
  absl::StatusOr<std::string> certificate = Read(config_.client_certificate, "client-certificate");
  if (!certificate.ok()) return certificate.status();
  identity.client_certificate = *std::move(certificate);
  absl::StatusOr<std::string> key = Read(config_.client_key, "client-key");
  if (!key.ok()) return key.status();
  identity.client_key = *std::move(key);

  std::string token = config_.token;
  if (!config_.token_file.empty()) {
    absl::StatusOr<std::string> text = ReadFile(config_.token_file, "tokenFile");
    if (!text.ok()) return text.status();
    token = std::string(absl::StripAsciiWhitespace(*text));
  }
  if (plugin_) {
    if (!plugin_->token.empty()) token = plugin_->token;
    if (!plugin_->client_certificate.empty()) {
      identity.client_certificate = plugin_->client_certificate;
      identity.client_key = plugin_->client_key;
    }
  }
  if (!token.empty()) {
    identity.headers.push_back("Authorization: Bearer " + token);
  } else if (!config_.username.empty()) {
    identity.headers.push_back("Authorization: Basic " +
                               absl::Base64Escape(absl::StrCat(config_.username, ":", config_.password)));
  }
  if (!config_.impersonate_user.empty()) {
    identity.headers.push_back("Impersonate-User: " + config_.impersonate_user);
    if (!config_.impersonate_uid.empty()) {
      identity.headers.push_back("Impersonate-Uid: " + config_.impersonate_uid);
    }
    for (const std::string& group : config_.impersonate_groups) {
      identity.headers.push_back("Impersonate-Group: " + group);
    }
  }
  if (!std::ranges::all_of(identity.headers, FitsHeader)) {
    return absl::InvalidArgumentError(
        absl::StrCat(config_.origin, ": a token or a name holds control characters"));
  }
  return identity;
}

}  // namespace mayfly::kube
