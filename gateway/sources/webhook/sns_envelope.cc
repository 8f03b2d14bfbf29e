#include "gateway/sources/webhook/sns_envelope.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/utf8.h"
#include "gateway/sources/bounded_json.h"
#include "gateway/sources/text.h"

namespace mayfly::gateway {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostAttribute = 1'024;

absl::Status Bad(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

// "arn:aws:sns:us-east-1:123456789012:orders" → us-east-1; "" if it is no topic's.
std::string RegionOf(const std::string& topic_arn) {
  const std::vector<std::string_view> parts = Split(topic_arn, ':');
  if (parts.size() != 6 || parts[0] != "arn" || parts[2] != "sns" || parts[3].empty() || parts[5].empty())
    return {};
  const bool plain = std::all_of(parts[3].begin(), parts[3].end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  return plain ? std::string(parts[3]) : std::string();
}

}  // namespace

bool IsSnsUrl(std::string_view url, std::string_view region) {
  if (region.empty() || !ConsumePrefix(&url, "https://")) return false;
  const std::size_t end = url.find_first_of("/?#\\");
  if (end == std::string_view::npos || url[end] != '/') return false;
  const std::string host(url.substr(0, end));
  // What a browser may read otherwise than we do is of no SNS.
  const bool plain =
      std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < 127 && c != '\\' && c != '@'; });
  return plain && (host == fmt::format("sns.{}.amazonaws.com", region) ||
                   host == fmt::format("sns.{}.amazonaws.com.cn", region));
}

absl::StatusOr<SnsEnvelope> ReadSnsEnvelope(const WebhookRequest& request) {
  if (Lower(request.Header("x-amz-sns-rawdelivery")) == "true") {
    return Bad(
        "SNS delivers the message raw, and so without a signature: turn raw message delivery off at the "
        "subscription");
  }
  const absl::StatusOr<Json> json = ParseBoundedJson(request.body);
  if (!json.ok()) return json.status();
  SnsEnvelope envelope;
  envelope.type = JsonText(*json, {"Type"});
  envelope.message_id = JsonText(*json, {"MessageId"});
  envelope.topic_arn = JsonText(*json, {"TopicArn"});
  envelope.message = JsonText(*json, {"Message"});
  envelope.subject = JsonText(*json, {"Subject"});
  envelope.has_subject = json->is_object() && json->contains("Subject") && (*json)["Subject"].is_string();
  envelope.timestamp = JsonText(*json, {"Timestamp"});
  envelope.signature_version = JsonText(*json, {"SignatureVersion"});
  envelope.signature = JsonText(*json, {"Signature"});
  envelope.signing_cert_url = JsonText(*json, {"SigningCertURL"});
  envelope.subscribe_url = JsonText(*json, {"SubscribeURL"});
  envelope.token = JsonText(*json, {"Token"});
  const bool notification = envelope.type == "Notification";
  const bool confirmation =
      envelope.type == "SubscriptionConfirmation" || envelope.type == "UnsubscribeConfirmation";
  if ((!notification && !confirmation) || envelope.message_id.empty() || envelope.topic_arn.empty() ||
      envelope.signature.empty()) {
    return Bad("the body has no Type, MessageId, TopicArn and Signature, as a message of SNS has");
  }
  const std::string region = RegionOf(envelope.topic_arn);
  if (region.empty()) return Bad("TopicArn is not of the form arn:aws:sns:REGION:ACCOUNT:NAME");
  if (envelope.signature_version != "1" && envelope.signature_version != "2")
    return Bad("SignatureVersion is neither 1 nor 2");
  if (!IsSnsUrl(envelope.signing_cert_url, region) || !envelope.signing_cert_url.ends_with(".pem"))
    return Bad(fmt::format("SigningCertURL is not a certificate at https://sns.{}.amazonaws.com", region));
  if (confirmation && !IsSnsUrl(envelope.subscribe_url, region))
    return Bad(fmt::format("SubscribeURL is not at https://sns.{}.amazonaws.com", region));
  return envelope;
}

std::string SnsStringToSign(const SnsEnvelope& envelope) {
  std::string text;
  const auto add = [&](std::string_view name, std::string_view value) {
    text += fmt::format("{}\n{}\n", name, value);
  };
  add("Message", envelope.message);
  add("MessageId", envelope.message_id);
  if (envelope.type == "Notification") {
    if (envelope.has_subject) add("Subject", envelope.subject);
    add("Timestamp", envelope.timestamp);
  } else {
    add("SubscribeURL", envelope.subscribe_url);
    add("Timestamp", envelope.timestamp);
    add("Token", envelope.token);
  }
  add("TopicArn", envelope.topic_arn);
  add("Type", envelope.type);
  return text;
}

absl::Status VerifySns(const SnsEnvelope& envelope, const std::string& certificate, std::int64_t now) {
  const std::unique_ptr<BIO, decltype(&::BIO_free)> bio(
      ::BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size())), &::BIO_free);
  const std::unique_ptr<X509, decltype(&::X509_free)> x509(
      ::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), &::X509_free);
  if (x509 == nullptr) return absl::PermissionDeniedError("what SigningCertURL serves is no certificate");
  std::time_t at = static_cast<std::time_t>(now);
  if (::X509_cmp_time(::X509_get0_notBefore(x509.get()), &at) > 0 ||
      ::X509_cmp_time(::X509_get0_notAfter(x509.get()), &at) < 0) {
    return absl::PermissionDeniedError("the certificate at SigningCertURL is not in force now");
  }
  std::string signature;
  if (!DecodeBase64(envelope.signature, &signature))
    return absl::UnauthenticatedError("Signature is not base64");
  const std::string message = SnsStringToSign(envelope);
  EVP_PKEY* const key = ::X509_get0_pubkey(x509.get());
  const std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> context(::EVP_MD_CTX_new(),
                                                                          &::EVP_MD_CTX_free);
  const EVP_MD* const digest = envelope.signature_version == "1" ? ::EVP_sha1() : ::EVP_sha256();
  const bool fits =
      key != nullptr && ::EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && context != nullptr &&
      ::EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) == 1 &&
      ::EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                         signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                         message.size()) == 1;
  return fits ? absl::OkStatus()
              : absl::PermissionDeniedError("Signature is not by the key of SigningCertURL");
}

Notices SnsNotice(const SnsEnvelope& envelope, std::string body) {
  const auto cut = [](std::string_view text) {
    return std::string(base::CutUtf8(base::CleanUtf8(text), kMostAttribute));
  };
  CloudEvent event;
  event.event.set_id(cut(envelope.message_id));
  event.event.set_source(cut(envelope.topic_arn));
  event.event.set_type("com.amazonaws.sns." + envelope.type);
  event.event.set_subject(cut(envelope.subject));
  if (IsRfc3339(envelope.timestamp)) event.event.set_time(envelope.timestamp);
  event.event.set_data_content_type("application/json");
  event.data = std::move(body);
  Notices notices;
  notices.events.push_back(std::move(event));
  return notices;
}

}  // namespace mayfly::gateway
