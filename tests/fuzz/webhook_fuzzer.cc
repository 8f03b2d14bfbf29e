// Feeds any bytes to what reads the requests of services: signatures, CloudEvents, GitHub, Stripe, Slack, Standard
// Webhooks, S3, EventBridge and SNS. Checked is that nothing is read out of bounds (sanitizers), that nothing passes for
// signed, and that what is sent on can be: protobuf strings are UTF-8, and each event has its id, source and type.
//
// The input: lines "name: value" are headers, up to an empty line; the rest is the body.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/sources/webhook/aws_notices.h"
#include "gateway/sources/webhook/cloud_event_request.h"
#include "gateway/sources/webhook/service_notices.h"
#include "gateway/sources/webhook/signatures.h"
#include "gateway/sources/webhook/sns_envelope.h"

namespace {

using namespace mayfly;
using namespace mayfly::gateway;

void Require(bool holds) {
  if (!holds) std::abort();
}

void Check(const absl::StatusOr<Notices>& notices, bool may_lack_id = false) {
  if (!notices.ok()) return;
  for (const CloudEvent& event : notices->events) {
    Require((may_lack_id || !event.event.id().empty()) && !event.event.source().empty() &&
            !event.event.type().empty());
    v1::Event copy;
    Require(copy.ParseFromString(event.event.SerializeAsString()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  WebhookRequest request;
  while (!input.empty()) {
    const std::size_t end = input.find('\n');
    const std::string_view line = input.substr(0, end);
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    if (line.empty()) break;
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) continue;
    request.headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
  }
  request.body = std::string(input);

  const SigningPolicy policy{{"a secret that no fuzzer finds",
                              "whsec_YSBzZWNyZXQgdGhhdCBubyBmdXp6ZXIgZmluZHM=",
                              "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="}};
  Require(!VerifyGitHub(request, policy).ok());
  Require(!VerifyStripe(request, policy, 1'000'000'000).ok());
  Require(!VerifySlack(request, policy, 1'000'000'000).ok());
  Require(!VerifyStandard(request, policy, 1'000'000'000).ok());
  Require(!VerifyHmac(request, "x-mac", policy).ok());
  Require(!VerifyToken(request, "x-token", policy).ok());

  Check(ReadCloudEvents(WebhookRequest(request)));
  Check(ReadGitHub(WebhookRequest(request), 0));
  Check(ReadStripe(WebhookRequest(request), 0));
  Check(ReadSlack(WebhookRequest(request), 0), true);
  Check(ReadStandard(WebhookRequest(request), "/s"));
  Check(ReadGeneric(WebhookRequest(request), "/s", "x-id", "x-mac", 0));
  Check(ReadS3(request.body));
  Check(ReadEventBridge(request.body));
  if (const auto envelope = ReadSnsEnvelope(request); envelope.ok()) {
    Require(!VerifySns(*envelope, request.body, 0).ok());
    Check(SnsNotice(*envelope, request.body));
  }
  return 0;
}
