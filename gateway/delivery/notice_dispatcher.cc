#include "gateway/delivery/notice_dispatcher.h"

#include <algorithm>
#include <utility>

#include "gateway/delivery/json_answer.h"

namespace mayfly::gateway {
namespace {

WebhookRequest RequestOf(DispatchRequest& request) {
  v1::HttpRequest& http = *request.start.mutable_event()->mutable_http();
  WebhookRequest of;
  of.method = http.method();
  of.path = http.path();
  of.query = http.query();
  of.headers.reserve(static_cast<std::size_t>(http.headers_size()));
  for (v1::Pair& header : *http.mutable_headers())
    of.headers.emplace_back(std::move(*header.mutable_name()), std::move(*header.mutable_value()));
  for (v1::Pair& parameter : *http.mutable_path_parameters())
    of.path_parameters.emplace_back(std::move(*parameter.mutable_name()),
                                    std::move(*parameter.mutable_value()));
  of.body = std::move(request.body);
  return of;
}

bool HasTrigger(const v1::FunctionRoute& route, const std::string& name) {
  return std::any_of(route.triggers().begin(), route.triggers().end(),
                     [&](const v1::EventTrigger& trigger) { return trigger.name() == name; });
}

}  // namespace

std::unique_ptr<Dispatched> NoticeDispatcher::Begin(DispatchRequest request,
                                                    std::shared_ptr<AnswerSink> sink) {
  if (!request.events) return next_.Begin(std::move(request), std::move(sink));
  return GatherRequest(std::move(request), std::move(sink), budget_,
                       [this](GatheredRequest gathered) { Receive(std::move(gathered)); });
}

void NoticeDispatcher::Receive(GatheredRequest gathered) {
  RequestReceiver* const receiver = receiver_;
  if (receiver == nullptr) {
    return ReplyProblem(
        *gathered.sink, 501, "NoEventStore",
        "this gateway keeps no events, which webhooks need: start it with --events FOLDER, or "
        "install the chart with gateway.events.enabled=true");
  }
  const TriggerKey key{gathered.request.route->function(), gathered.request.trigger};
  // The operator leaves out a trigger whose Secret is not to be had.
  if (!HasTrigger(*gathered.request.route, key.trigger)) {
    return ReplyProblem(*gathered.sink, 503, "WebhookNotReady",
                        "the webhook is not ready: its function's condition TriggersReady says why");
  }
  ReceivedRequest received;
  received.request = RequestOf(gathered.request);
  received.cancelled = gathered.cancelled;
  received.answer = [sink = std::move(gathered.sink)](WebhookAnswer answer) {
    Reply(*sink, static_cast<std::uint32_t>(answer.status), answer.content_type, std::move(answer.body),
          answer.headers);
  };
  receiver->Receive(key, std::move(received));
}

}  // namespace mayfly::gateway
