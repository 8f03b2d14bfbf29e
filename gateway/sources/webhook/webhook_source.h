// The kind `webhook`: requests that services post.
//
// Its source is a WebhookIntake under the engine's hands. Requests find it by their trigger; while it is made anew (its
// Secret has changed, say) they wait for the next one: a service that sends once only loses nothing by that.
#pragma once

#include <memory>

#include "gateway/client/http_client.h"
#include "gateway/sources/source_factory.h"

namespace mayfly::gateway {

// The client is for SNS: its certificates, and confirming subscriptions. Null: one of its own.
std::unique_ptr<SourceFactory> MakeWebhookFactory(std::unique_ptr<HttpClient> client = nullptr);

}  // namespace mayfly::gateway
