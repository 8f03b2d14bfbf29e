#include "gateway/sources/webhook/webhook_settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "gateway/sources/credentials.h"
#include "gateway/sources/webhook/aws_notices.h"
#include "gateway/sources/webhook/cloud_event_request.h"
#include "gateway/sources/webhook/service_notices.h"

namespace mayfly::gateway {
namespace {

using v1::WebhookTrigger;

constexpr std::size_t kMostSecrets = 16;

// Those that sign all they send.
bool AlwaysSigns(WebhookTrigger::Service service) {
  return service == WebhookTrigger::GITHUB || service == WebhookTrigger::STRIPE ||
         service == WebhookTrigger::SLACK || service == WebhookTrigger::STANDARD_WEBHOOKS;
}

}  // namespace

absl::StatusOr<WebhookSettings> WebhookSettings::Of(const v1::EventTrigger& trigger, const TriggerKey& key) {
  WebhookSettings settings;
  settings.webhook_ = trigger.webhook();
  settings.source_ = fmt::format("/mayfly/triggers/{}/{}", key.function, key.trigger);
  if (settings.webhook_.tolerance_s() > 0)
    settings.policy_.tolerance = std::chrono::seconds(settings.webhook_.tolerance_s());
  const absl::StatusOr<Credentials> credentials = Credentials::Of(trigger, {kSecret});
  if (!credentials.ok()) return credentials.status();
  settings.policy_.secrets = credentials->Lines(kSecret);
  const std::string& name = trigger.secret_name();
  if (!name.empty() && settings.policy_.secrets.empty())
    return absl::InvalidArgumentError(fmt::format("Secret {} has nothing under its key secret", name));
  if (settings.policy_.secrets.size() > kMostSecrets) {
    return absl::InvalidArgumentError(
        fmt::format("Secret {} has more than {} lines under its key secret", name, kMostSecrets));
  }
  if (AlwaysSigns(settings.webhook_.service()) && settings.policy_.secrets.empty())
    return absl::InvalidArgumentError("the webhook has no secret to check signatures by");
  if (settings.webhook_.service() == WebhookTrigger::STANDARD_WEBHOOKS) {
    for (std::size_t i = 0; i < settings.policy_.secrets.size(); ++i) {
      const std::string wrong = CheckStandardSecret(settings.policy_.secrets[i]);
      if (!wrong.empty())
        return absl::InvalidArgumentError(
            fmt::format("line {} under the key secret of Secret {} {}", i + 1, name, wrong));
    }
  }
  return settings;
}

absl::Status WebhookSettings::CheckTopic(const SnsEnvelope& envelope) const {
  if (std::find(webhook_.topics().begin(), webhook_.topics().end(), envelope.topic_arn) !=
      webhook_.topics().end())
    return absl::OkStatus();
  return absl::PermissionDeniedError("TopicArn is none of the trigger's topics");
}

absl::Status WebhookSettings::Verify(const WebhookRequest& request, std::int64_t now) const {
  switch (webhook_.service()) {
    case WebhookTrigger::GITHUB:
      return VerifyGitHub(request, policy_);
    case WebhookTrigger::STRIPE:
      return VerifyStripe(request, policy_, now);
    case WebhookTrigger::SLACK:
      return VerifySlack(request, policy_, now);
    case WebhookTrigger::STANDARD_WEBHOOKS:
      return VerifyStandard(request, policy_, now);
    default:
      break;
  }
  if (policy_.secrets.empty()) return absl::OkStatus();
  if (!webhook_.signature_header().empty()) return VerifyHmac(request, webhook_.signature_header(), policy_);
  const std::string& header = webhook_.token_header();
  return VerifyToken(request, header.empty() ? "authorization" : header, policy_);
}

absl::StatusOr<Notices> WebhookSettings::Read(WebhookRequest&& request, std::int64_t now) const {
  // A question whether one may send says nothing, and who asks has nothing to show yet.
  if (request.method == "OPTIONS" && webhook_.service() == WebhookTrigger::CLOUD_EVENTS)
    return AnswerHandshake(request);
  if (absl::Status status = Verify(request, now); !status.ok()) return status;
  switch (webhook_.service()) {
    case WebhookTrigger::CLOUD_EVENTS:
      return ReadCloudEvents(std::move(request));
    case WebhookTrigger::GITHUB:
      return ReadGitHub(std::move(request), now);
    case WebhookTrigger::STRIPE:
      return ReadStripe(std::move(request), now);
    case WebhookTrigger::SLACK:
      return ReadSlack(std::move(request), now);
    case WebhookTrigger::STANDARD_WEBHOOKS:
      return ReadStandard(std::move(request), source_);
    case WebhookTrigger::S3:
      return ReadS3(request.body);
    case WebhookTrigger::EVENT_BRIDGE:
      return ReadEventBridge(request.body);
    case WebhookTrigger::GENERIC: {
      const std::string& header =
          webhook_.signature_header().empty() ? webhook_.token_header() : webhook_.signature_header();
      return ReadGeneric(std::move(request), source_, webhook_.id_header(), header, now);
    }
    default:
      return absl::UnimplementedError("this version of the gateway does not know the webhook's type");
  }
}

absl::StatusOr<Notices> WebhookSettings::ReadSns(const SnsEnvelope& envelope, std::string body) const {
  switch (webhook_.service()) {
    case WebhookTrigger::S3:
      return gateway::ReadS3(envelope.message);
    case WebhookTrigger::EVENT_BRIDGE:
      return gateway::ReadEventBridge(envelope.message);
    default:
      return SnsNotice(envelope, std::move(body));
  }
}

}  // namespace mayfly::gateway
