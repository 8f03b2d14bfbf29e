// What one webhook takes: its trigger's settings, read once.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "gateway/sources/trigger_key.h"
#include "gateway/sources/webhook/signatures.h"
#include "gateway/sources/webhook/sns_envelope.h"
#include "gateway/sources/webhook/webhook_request.h"
#include "mayfly/v1/triggers.pb.h"

namespace mayfly::gateway {

class WebhookSettings {
 public:
  // kInvalidArgument: no request can be believed with these, and why.
  static absl::StatusOr<WebhookSettings> Of(const v1::EventTrigger& trigger, const TriggerKey& key);

  bool by_sns() const { return !webhook_.topics().empty(); }
  // Whether the message is of a topic that the trigger names: kPermissionDenied if not.
  absl::Status CheckTopic(const SnsEnvelope& envelope) const;

  // What a request says that is not by SNS, if it may be believed. `now`: seconds since 1970. Codes:
  //   kUnauthenticated, kPermissionDenied   it is not by who it should be by
  //   kInvalidArgument                      it is not what that service sends
  //   kUnimplemented                        it is in a form that is not understood
  absl::StatusOr<Notices> Read(WebhookRequest&& request, std::int64_t now) const;
  // What a message of SNS says whose signature was found right.
  absl::StatusOr<Notices> ReadSns(const SnsEnvelope& envelope, std::string body) const;

 private:
  WebhookSettings() = default;
  absl::Status Verify(const WebhookRequest& request, std::int64_t now) const;

  v1::WebhookTrigger webhook_;
  SigningPolicy policy_;
  std::string source_;  // of events whose service names none
};

}  // namespace mayfly::gateway
