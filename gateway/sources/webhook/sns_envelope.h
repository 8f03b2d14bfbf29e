// A message of AWS SNS to an HTTP endpoint: who signed it, and what it is.
//
// SNS signs certain fields with RSA, by a certificate that it serves at SigningCertURL (SignatureVersion 1: SHA-1; 2:
// SHA-256). Anybody could name a URL: so it, and the one at which a subscription is confirmed, must be of SNS itself in the
// region of the topic. Whose topic it is, is for the trigger to say: anybody with an account can have SNS sign.
//
// Functions here are pure.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "gateway/sources/webhook/webhook_request.h"

namespace mayfly::gateway {

struct SnsEnvelope {
  std::string type;  // Notification, SubscriptionConfirmation or UnsubscribeConfirmation
  std::string message_id;
  std::string topic_arn;
  std::string message;
  std::string subject;
  bool has_subject = false;
  std::string timestamp;
  std::string signature_version;
  std::string signature;  // base64
  std::string signing_cert_url;
  std::string subscribe_url;
  std::string token;
};

// kInvalidArgument: it is none, or has not what its type has, or its URLs are not of SNS in the topic's region.
absl::StatusOr<SnsEnvelope> ReadSnsEnvelope(const WebhookRequest& request);

// "https://sns.REGION.amazonaws.com/…" (or .com.cn), without user, port or anything that leads elsewhere.
bool IsSnsUrl(std::string_view url, std::string_view region);

// What its signature is over.
std::string SnsStringToSign(const SnsEnvelope& envelope);

// kPermissionDenied unless it was signed by the key of `certificate` (PEM), which is in force at `now` (since 1970).
absl::Status VerifySns(const SnsEnvelope& envelope, const std::string& certificate, std::int64_t now);

// A notification as an event: com.amazonaws.sns.Notification from the topic; the data is `body`, the whole message.
Notices SnsNotice(const SnsEnvelope& envelope, std::string body);

}  // namespace mayfly::gateway
