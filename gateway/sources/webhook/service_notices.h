// What services post, as CloudEvents: who is told in `source`, what happened in `type`. The data is the body as it came.
//
//   GitHub    com.github.EVENT[.ACTION], as CloudEvents' adapter for GitHub says; id: X-GitHub-Delivery
//   Stripe    com.stripe.TYPE; id: the event's
//   Slack     com.slack.TYPE (of the inner event, or of an interaction), com.slack.command; id: event_id, else trigger_id
//   standard  the payload's `type`, else dev.mayfly.webhook; id: webhook-id
//   generic   dev.mayfly.webhook; id: a header's value if one is named, else none: the caller chooses one
//
// Whether a request may be believed is not asked here. kInvalidArgument: it is not what that service sends.
//
// Functions here are pure. `now`: seconds since 1970, for events that do not say when they happened.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "gateway/sources/webhook/webhook_request.h"

namespace mayfly::gateway {

absl::StatusOr<Notices> ReadGitHub(WebhookRequest&& request, std::int64_t now);
absl::StatusOr<Notices> ReadStripe(WebhookRequest&& request, std::int64_t now);
// Answers the challenge by which Slack finds out whether an address is its owner's.
absl::StatusOr<Notices> ReadSlack(WebhookRequest&& request, std::int64_t now);
// `source`: the event's, as of the trigger.
absl::StatusOr<Notices> ReadStandard(WebhookRequest&& request, const std::string& source);
// The event is an HTTP request too: method, path and its parameters, query and headers, without those that have secrets in them and without
// `secret_header`. `id_header` in lower case, or "".
absl::StatusOr<Notices> ReadGeneric(WebhookRequest&& request, const std::string& source,
                                    const std::string& id_header, const std::string& secret_header,
                                    std::int64_t now);

// "2026-01-31T12:00:00Z".
std::string Rfc3339OfUnix(std::int64_t seconds);

// application/x-www-form-urlencoded: the first value of `name`, or "".
std::string FormValue(std::string_view form, std::string_view name);

}  // namespace mayfly::gateway
