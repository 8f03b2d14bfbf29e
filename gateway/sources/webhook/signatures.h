// Whether a request was signed by one of a trigger's secrets, in the ways that services sign.
//
//   Standard Webhooks   webhook-signature: v1,BASE64 (HMAC-SHA256) or v1a,BASE64 (Ed25519) of ID.TIMESTAMP.BODY
//   GitHub              X-Hub-Signature-256: sha256=HEX of BODY
//   Stripe              Stripe-Signature: t=TIMESTAMP,v1=HEX of TIMESTAMP.BODY
//   Slack               X-Slack-Signature: v0=HEX of v0:TIMESTAMP:BODY
//   HMAC in a header    HEX, sha256=HEX or BASE64 of BODY (Shopify, Gitea, Bitbucket and many others)
//   a shared token      in a header as it is; in Authorization also after "Bearer "
//
// Any secret that fits passes, so that one can be replaced by another. What a code says:
//   kUnauthenticated    there is no signature, or none that can be read
//   kPermissionDenied   it is by no secret of the trigger, or too old, or too new
// Messages name the header and never a secret. Comparisons take the same time wherever they differ.
//
// Functions here are pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "gateway/sources/webhook/webhook_request.h"

namespace mayfly::gateway {

struct SigningPolicy {
  std::vector<std::string> secrets;
  // How far a signed timestamp may be from the clock, both ways.
  std::chrono::seconds tolerance{300};
};

absl::Status VerifyStandard(const WebhookRequest& request, const SigningPolicy& policy, std::int64_t now);
absl::Status VerifyGitHub(const WebhookRequest& request, const SigningPolicy& policy);
absl::Status VerifyStripe(const WebhookRequest& request, const SigningPolicy& policy, std::int64_t now);
absl::Status VerifySlack(const WebhookRequest& request, const SigningPolicy& policy, std::int64_t now);
// `header` in lower case.
absl::Status VerifyHmac(const WebhookRequest& request, std::string_view header, const SigningPolicy& policy);
absl::Status VerifyToken(const WebhookRequest& request, std::string_view header, const SigningPolicy& policy);

// Why `secret` cannot be one of Standard Webhooks, in words that tell nothing of it; "" if it can.
std::string CheckStandardSecret(std::string_view secret);

}  // namespace mayfly::gateway
