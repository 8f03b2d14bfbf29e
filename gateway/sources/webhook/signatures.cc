#include "gateway/sources/webhook/signatures.h"

#include <fmt/format.h>

#include <optional>

#include "gateway/sources/text.h"
#include "gateway/sources/webhook/mac.h"

namespace mayfly::gateway {
namespace {

// More than any service sends: each costs a comparison.
constexpr std::size_t kMostSignatures = 32;

absl::Status Missing(std::string_view header) {
  return absl::UnauthenticatedError(
      fmt::format("the request has no header {}, which the sender's signature is in", header));
}

absl::Status Unreadable(std::string_view header, std::string_view form) {
  return absl::UnauthenticatedError(fmt::format("{} is not of the form {}", header, form));
}

absl::Status Wrong(std::string_view header) {
  return absl::PermissionDeniedError(
      fmt::format("the signature in {} is by none of the trigger's secrets", header));
}

absl::StatusOr<std::int64_t> ReadTimestamp(std::string_view text, std::string_view header) {
  const std::optional<std::int64_t> seconds = ToInteger(text);
  if (!seconds || *seconds < 0) return Unreadable(header, "seconds since 1970");
  return *seconds;
}

absl::Status CheckAge(std::int64_t signed_at, std::int64_t now, std::chrono::seconds tolerance) {
  const std::int64_t age = now - signed_at;
  if (age > tolerance.count()) {
    return absl::PermissionDeniedError(
        fmt::format("it was signed {} s ago, which is longer than the trigger's tolerance of {} s", age,
                    tolerance.count()));
  }
  if (-age > tolerance.count()) {
    return absl::PermissionDeniedError(
        fmt::format("it was signed {} s ahead of this gateway's clock, which is more than the trigger's "
                    "tolerance of {} s",
                    -age, tolerance.count()));
  }
  return absl::OkStatus();
}

// Every secret is tried, whichever fits.
bool ByAnySecret(const SigningPolicy& policy, std::string_view message,
                 const std::vector<std::string>& signatures) {
  bool fits = false;
  for (const std::string& secret : policy.secrets) {
    const std::string mac = HmacSha256(secret, message);
    for (const std::string& signature : signatures) fits |= EqualInConstantTime(mac, signature);
  }
  return fits;
}

std::string_view StandardHeader(const WebhookRequest& request, std::string_view name) {
  if (const std::string_view value = request.Header(fmt::format("webhook-{}", name)); !value.empty())
    return value;
  return request.Header(fmt::format("svix-{}", name));  // its name before it was a standard
}

// The key that `secret` stands for, and whether it is a public one.
bool ReadStandardSecret(std::string_view secret, std::string* key, bool* is_public) {
  *is_public = ConsumePrefix(&secret, "whpk_");
  if (!*is_public) ConsumePrefix(&secret, "whsec_");
  return DecodeBase64(secret, key) && !key->empty() && (!*is_public || key->size() == 32);
}

}  // namespace

std::string CheckStandardSecret(std::string_view secret) {
  if (secret.starts_with("whsk_")) return "is a private key (whsk_…); give the public one (whpk_…)";
  std::string key;
  bool is_public = false;
  if (ReadStandardSecret(secret, &key, &is_public)) return "";
  return is_public ? "is not whpk_ and the base64 of 32 bytes" : "is not whsec_ and base64";
}

absl::Status VerifyStandard(const WebhookRequest& request, const SigningPolicy& policy, std::int64_t now) {
  const std::string_view id = StandardHeader(request, "id");
  const std::string_view timestamp = StandardHeader(request, "timestamp");
  const std::string_view header = StandardHeader(request, "signature");
  if (id.empty()) return Missing("webhook-id");
  if (timestamp.empty()) return Missing("webhook-timestamp");
  if (header.empty()) return Missing("webhook-signature");
  const absl::StatusOr<std::int64_t> signed_at = ReadTimestamp(timestamp, "webhook-timestamp");
  if (!signed_at.ok()) return signed_at.status();
  const std::string message = fmt::format("{}.{}.{}", id, timestamp, request.body);
  bool readable = false;
  bool fits = false;
  std::size_t tried = 0;
  for (const std::string_view part : Split(header, ' ')) {
    if (++tried > kMostSignatures) break;
    const std::size_t comma = part.find(',');
    if (comma == std::string_view::npos) continue;
    const std::string_view version = part.substr(0, comma);
    std::string signature;
    if ((version != "v1" && version != "v1a") || !DecodeBase64(part.substr(comma + 1), &signature)) continue;
    readable = true;
    for (const std::string& secret : policy.secrets) {
      std::string key;
      bool is_public = false;
      if (!ReadStandardSecret(secret, &key, &is_public) || is_public != (version == "v1a")) continue;
      fits |= is_public ? VerifyEd25519(key, message, signature)
                        : EqualInConstantTime(HmacSha256(key, message), signature);
    }
  }
  if (!readable) return Unreadable("webhook-signature", "v1,BASE64 or v1a,BASE64");
  if (!fits) return Wrong("webhook-signature");
  return CheckAge(*signed_at, now, policy.tolerance);
}

absl::Status VerifyGitHub(const WebhookRequest& request, const SigningPolicy& policy) {
  std::string_view header = request.Header("x-hub-signature-256");
  if (header.empty()) return Missing("X-Hub-Signature-256");
  std::string signature;
  if (!ConsumePrefix(&header, "sha256=") || !DecodeHex(header, &signature))
    return Unreadable("X-Hub-Signature-256", "sha256=HEX");
  return ByAnySecret(policy, request.body, {signature}) ? absl::OkStatus() : Wrong("X-Hub-Signature-256");
}

absl::Status VerifyStripe(const WebhookRequest& request, const SigningPolicy& policy, std::int64_t now) {
  const std::string_view header = request.Header("stripe-signature");
  if (header.empty()) return Missing("Stripe-Signature");
  std::string_view timestamp;
  std::vector<std::string> signatures;
  for (std::string_view part : Split(header, ',')) {
    part = StripSpace(part);
    std::string signature;
    if (ConsumePrefix(&part, "t=")) {
      timestamp = part;
    } else if (ConsumePrefix(&part, "v1=") && DecodeHex(part, &signature) &&
               signatures.size() < kMostSignatures) {
      signatures.push_back(std::move(signature));
    }
  }
  if (timestamp.empty() || signatures.empty()) return Unreadable("Stripe-Signature", "t=SECONDS,v1=HEX");
  const absl::StatusOr<std::int64_t> signed_at = ReadTimestamp(timestamp, "t of Stripe-Signature");
  if (!signed_at.ok()) return signed_at.status();
  if (!ByAnySecret(policy, fmt::format("{}.{}", timestamp, request.body), signatures))
    return Wrong("Stripe-Signature");
  return CheckAge(*signed_at, now, policy.tolerance);
}

absl::Status VerifySlack(const WebhookRequest& request, const SigningPolicy& policy, std::int64_t now) {
  std::string_view header = request.Header("x-slack-signature");
  const std::string_view timestamp = request.Header("x-slack-request-timestamp");
  if (header.empty()) return Missing("X-Slack-Signature");
  if (timestamp.empty()) return Missing("X-Slack-Request-Timestamp");
  const absl::StatusOr<std::int64_t> signed_at = ReadTimestamp(timestamp, "X-Slack-Request-Timestamp");
  if (!signed_at.ok()) return signed_at.status();
  std::string signature;
  if (!ConsumePrefix(&header, "v0=") || !DecodeHex(header, &signature))
    return Unreadable("X-Slack-Signature", "v0=HEX");
  if (!ByAnySecret(policy, fmt::format("v0:{}:{}", timestamp, request.body), {signature}))
    return Wrong("X-Slack-Signature");
  return CheckAge(*signed_at, now, policy.tolerance);
}

absl::Status VerifyHmac(const WebhookRequest& request, std::string_view name, const SigningPolicy& policy) {
  std::string_view header = request.Header(name);
  if (header.empty()) return Missing(name);
  ConsumePrefix(&header, "sha256=");
  std::string signature;
  // 64 digits are base64 too, but of 48 bytes, which no SHA-256 has.
  if (!DecodeHex(header, &signature) && !DecodeBase64(header, &signature))
    return Unreadable(name, "HEX, sha256=HEX or BASE64");
  return ByAnySecret(policy, request.body, {signature}) ? absl::OkStatus() : Wrong(name);
}

absl::Status VerifyToken(const WebhookRequest& request, std::string_view name, const SigningPolicy& policy) {
  std::string_view header = request.Header(name);
  if (header.empty()) {
    return absl::UnauthenticatedError(
        fmt::format("the request has no header {}, which the trigger's token has to be in", name));
  }
  std::string_view token = header;
  if (name == "authorization" && StartsWithIgnoreCase(token, "bearer ")) token = StripSpace(token.substr(7));
  bool fits = false;
  for (const std::string& secret : policy.secrets)
    fits |= IsSecret(token, secret) || IsSecret(header, secret);
  if (fits) return absl::OkStatus();
  return absl::PermissionDeniedError(fmt::format("the token in {} is none of the trigger's", name));
}

}  // namespace mayfly::gateway
