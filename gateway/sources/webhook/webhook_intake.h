// A WebhookIntake takes what a service posts to one webhook, as events.
//
// A request is believed (its signature over the raw bytes, its age), read, and its events are stored; then it is answered
// with 202, or as its service wants it. What cannot be stored is answered with 503 and Retry-After: no event of it counts
// as taken by its sender, who sends all again, and those that were stored are known by their ids.
//
// Thread-safe. Requests come on any thread, and one that waits for SNS keeps it alive. One mutex, which is also held while
// events are pushed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "gateway/client/http_client.h"
#include "gateway/sources/request_receiver.h"
#include "gateway/sources/source_factory.h"
#include "gateway/sources/webhook/sns_certificates.h"
#include "gateway/sources/webhook/webhook_settings.h"

namespace mayfly::gateway {

class WebhookIntake final : public std::enable_shared_from_this<WebhookIntake> {
 public:
  // `client` and the clock of `context` must outlive it. With settings that are none, requests are refused with 503.
  WebhookIntake(absl::StatusOr<WebhookSettings> settings, SourceContext context, HttpClient& client,
                std::shared_ptr<SnsCertificates> certificates);

  // See source.h.
  void Start(EventSink& sink);
  void Settle(const std::vector<Settlement>& settlements);
  void Quiesce();
  // Answers all that wait for the store; the sink is not called any more.
  void Stop();

  // False, and the request stays where it is, if no request is taken any more.
  bool Take(ReceivedRequest& request);

 private:
  using Answer = std::function<void(WebhookAnswer)>;
  // A request whose events are on their way into the store.
  struct Open {
    Answer answer;
    WebhookAnswer on_success;
    std::size_t left = 0;
    absl::Status failed;
  };

  std::int64_t Now() const;
  void TakeSns(WebhookRequest request, Answer answer);
  void OnSns(const SnsEnvelope& envelope, std::string body, const absl::StatusOr<std::string>& certificate,
             const Answer& answer);
  void Confirm(const SnsEnvelope& envelope, const Answer& answer);
  void Store(absl::StatusOr<Notices> notices, const Answer& answer);
  void Refuse(const absl::Status& status, const Answer& answer) const;

  const absl::StatusOr<WebhookSettings> settings_;
  const SourceContext context_;
  HttpClient& client_;
  const std::shared_ptr<SnsCertificates> certificates_;

  std::shared_mutex taking_;  // shared while a request is read and pushed; Quiesce() waits for that

  std::mutex mutex_;
  EventSink* sink_ = nullptr;                       // guarded by mutex_; null: not started, or stopped
  bool quiet_ = false;                              // guarded by mutex_
  EventToken next_token_ = 1;                       // guarded by mutex_
  std::map<EventToken, std::uint64_t> on_the_way_;  // guarded by mutex_; to their request
  std::map<std::uint64_t, Open> open_;              // guarded by mutex_
  std::uint64_t next_request_ = 1;                  // guarded by mutex_
};

}  // namespace mayfly::gateway
