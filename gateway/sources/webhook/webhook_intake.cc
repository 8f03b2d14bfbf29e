#include "gateway/sources/webhook/webhook_intake.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"

namespace mayfly::gateway {
namespace {

// Of one trigger, with their events on the way into the store.
constexpr std::size_t kMostOpen = 10'000;
constexpr std::chrono::seconds kConfirmTimeout{10};

std::string RandomId() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return {};
  std::string id;
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

std::string Text(const absl::Status& status) { return std::string(status.message()); }

}  // namespace

WebhookAnswer ProblemAnswer(int status, const std::string& reason, const std::string& message) {
  using Json = nlohmann::ordered_json;
  WebhookAnswer answer;
  answer.status = status;
  answer.content_type = "application/json";
  answer.body = Json{{"component", "gateway"}, {"reason", reason}, {"message", message}}.dump(
                    -1, ' ', false, Json::error_handler_t::replace) +
                "\n";
  if (status == 429 || status == 503) answer.headers.emplace_back("retry-after", "1");
  if (status == 401) answer.headers.emplace_back("www-authenticate", "Bearer");
  return answer;
}

WebhookIntake::WebhookIntake(absl::StatusOr<WebhookSettings> settings, SourceContext context,
                             HttpClient& client, std::shared_ptr<SnsCertificates> certificates)
    : settings_(std::move(settings)),
      context_(std::move(context)),
      client_(client),
      certificates_(std::move(certificates)) {}

std::int64_t WebhookIntake::Now() const {
  return std::chrono::duration_cast<std::chrono::seconds>(context_.clock->WallNow().time_since_epoch())
      .count();
}

void WebhookIntake::Start(EventSink& sink) {
  const std::lock_guard lock(mutex_);
  sink_ = &sink;
  sink.SetHealth(settings_.status());
  sink.SetBacklog(Backlog::Of(0));
}

void WebhookIntake::Refuse(const absl::Status& status, const Answer& answer) const {
  const auto refuse = [&](int code, const char* reason) {
    base::log::Info("webhook request refused", {{"function", context_.key.function},
                                                {"trigger", context_.key.trigger},
                                                {"status", code},
                                                {"why", Text(status)}});
    answer(ProblemAnswer(code, reason, Text(status)));
  };
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
      return refuse(401, "NotSigned");
    case absl::StatusCode::kPermissionDenied:
      return refuse(403, "SignatureRefused");
    case absl::StatusCode::kInvalidArgument:
      return refuse(400, "BadWebhookRequest");
    case absl::StatusCode::kUnimplemented:
      return refuse(415, "UnsupportedMediaType");
    default:
      return refuse(503, "WebhookUnavailable");
  }
}

bool WebhookIntake::Take(ReceivedRequest& received) {
  const std::shared_lock taking(taking_);
  {
    const std::lock_guard lock(mutex_);
    if (sink_ == nullptr || quiet_) return false;
    if (open_.size() >= kMostOpen) {
      received.answer(
          ProblemAnswer(429, "TooManyRequests", "too many requests of this webhook are being stored"));
      return true;
    }
  }
  if (!settings_.ok()) {
    received.answer(ProblemAnswer(503, "WebhookNotReady", Text(settings_.status())));
    return true;
  }
  if (settings_->by_sns()) {
    TakeSns(std::move(received.request), std::move(received.answer));
  } else {
    Store(settings_->Read(std::move(received.request), Now()), received.answer);
  }
  return true;
}

void WebhookIntake::TakeSns(WebhookRequest request, Answer answer) {
  const absl::StatusOr<SnsEnvelope> envelope = ReadSnsEnvelope(request);
  if (!envelope.ok()) return Refuse(envelope.status(), answer);
  if (absl::Status status = settings_->CheckTopic(*envelope); !status.ok()) return Refuse(status, answer);
  const std::string url = envelope->signing_cert_url;
  certificates_->Get(url, [self = shared_from_this(), envelope = *envelope, body = std::move(request.body),
                           answer = std::move(answer)](const absl::StatusOr<std::string>& certificate) {
    self->OnSns(envelope, body, certificate, answer);
  });
}

void WebhookIntake::OnSns(const SnsEnvelope& envelope, std::string body,
                          const absl::StatusOr<std::string>& certificate, const Answer& answer) {
  if (!certificate.ok()) {
    return Refuse(absl::UnavailableError(fmt::format("the certificate of SNS cannot be fetched: {}",
                                                     Text(certificate.status()))),
                  answer);
  }
  if (absl::Status status = VerifySns(envelope, *certificate, Now()); !status.ok())
    return Refuse(status, answer);
  if (envelope.type == "SubscriptionConfirmation") return Confirm(envelope, answer);
  if (envelope.type == "UnsubscribeConfirmation") {
    base::log::Warn("a topic of SNS sends to a webhook no more: somebody has unsubscribed it",
                    {{"function", context_.key.function},
                     {"trigger", context_.key.trigger},
                     {"topic", envelope.topic_arn}});
    answer(WebhookAnswer{.status = 200, .content_type = {}, .body = {}, .headers = {}});
    return;
  }
  Store(settings_->ReadSns(envelope, std::move(body)), answer);
}

void WebhookIntake::Confirm(const SnsEnvelope& envelope, const Answer& answer) {
  client_.Send({.url = envelope.subscribe_url, .timeout = kConfirmTimeout},
               [self = shared_from_this(), topic = envelope.topic_arn,
                answer](const absl::StatusOr<HttpResult>& result) {
                 if (!result.ok() || result->status != 200) {
                   return self->Refuse(absl::UnavailableError(fmt::format(
                                           "the subscription cannot be confirmed: SubscribeURL {}",
                                           result.ok() ? fmt::format("answers with status {}", result->status)
                                                       : "is not reached: " + Text(result.status()))),
                                       answer);
                 }
                 base::log::Info("a subscription to a topic of SNS is confirmed",
                                 {{"function", self->context_.key.function},
                                  {"trigger", self->context_.key.trigger},
                                  {"topic", topic}});
                 answer(WebhookAnswer{.status = 200, .content_type = {}, .body = {}, .headers = {}});
               });
}

void WebhookIntake::Store(absl::StatusOr<Notices> notices, const Answer& answer) {
  if (!notices.ok()) return Refuse(notices.status(), answer);
  WebhookAnswer on_success;
  if (notices->has_answer) {
    on_success = std::move(notices->answer);
  } else {
    on_success.content_type = "application/json";
    on_success.body = fmt::format("{{\"accepted\":{}}}\n", notices->events.size());
  }
  if (notices->events.empty()) {
    answer(std::move(on_success));
    return;
  }
  std::unique_lock lock(mutex_);
  if (sink_ == nullptr || quiet_) {
    lock.unlock();
    answer(ProblemAnswer(503, "ShuttingDown", "the webhook is being made anew, or the gateway stops"));
    return;
  }
  const std::uint64_t number = next_request_++;
  Open& open = open_[number];
  open.answer = answer;
  open.on_success = std::move(on_success);
  open.left = notices->events.size();
  std::vector<SourceEvent> events;
  events.reserve(notices->events.size());
  for (CloudEvent& notice : notices->events) {
    SourceEvent event;
    event.token = next_token_++;
    event.event = std::move(notice.event);
    if (event.event.id().empty()) event.event.set_id(RandomId());
    event.body = std::move(notice.data);
    on_the_way_.emplace(event.token, number);
    events.push_back(std::move(event));
  }
  sink_->Push(std::move(events));
}

void WebhookIntake::Settle(const std::vector<Settlement>& settlements) {
  std::vector<Open> done;
  {
    const std::lock_guard lock(mutex_);
    for (const Settlement& settlement : settlements) {
      const auto request = on_the_way_.extract(settlement.token);
      if (request.empty()) continue;
      const auto found = open_.find(request.mapped());
      if (found == open_.end()) continue;
      if (settlement.how == Settled::kReleased) {
        found->second.failed =
            settlement.why.ok()
                ? absl::UnavailableError("the webhook is being made anew, or the gateway stops")
                : settlement.why;
      }
      if (--found->second.left > 0) continue;
      done.push_back(std::move(found->second));
      open_.erase(found);
    }
  }
  for (Open& open : done) {
    open.answer(open.failed.ok() ? std::move(open.on_success)
                                 : ProblemAnswer(503, "EventStoreUnavailable", Text(open.failed)));
  }
}

void WebhookIntake::Quiesce() {
  const std::unique_lock taking(taking_);
  const std::lock_guard lock(mutex_);
  quiet_ = true;
}

void WebhookIntake::Stop() {
  std::map<std::uint64_t, Open> rest;
  {
    const std::lock_guard lock(mutex_);
    sink_ = nullptr;
    on_the_way_.clear();
    rest.swap(open_);
  }
  for (auto& [number, open] : rest)
    open.answer(ProblemAnswer(503, "ShuttingDown", "the webhook is being made anew, or the gateway stops"));
}

}  // namespace mayfly::gateway
