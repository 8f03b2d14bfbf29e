#include "gateway/sources/webhook/webhook_source.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "gateway/sources/request_receiver.h"
#include "gateway/sources/webhook/webhook_intake.h"

namespace mayfly::gateway {
namespace {

// Requests that wait for their source. Each has a deadline at whoever sent it here.
constexpr std::size_t kMostParked = 256;

// Who takes the requests of which trigger. Thread-safe; one mutex, held alone.
class WebhookDesk final : public RequestReceiver {
 public:
  void Receive(const TriggerKey& trigger, ReceivedRequest request) override {
    std::shared_ptr<WebhookIntake> refused;
    for (;;) {
      std::shared_ptr<WebhookIntake> intake;
      {
        const std::lock_guard lock(mutex_);
        const auto found = intakes_.find(trigger);
        if (found != intakes_.end()) intake = found->second;
        if (intake == nullptr || intake == refused) {
          std::erase_if(parked_, [](const auto& parked) { return parked.second.cancelled->load(); });
          if (parked_.size() < kMostParked) {
            parked_.emplace_back(trigger, std::move(request));
            return;
          }
          intake = nullptr;
        }
      }
      if (intake == nullptr) {
        request.answer(ProblemAnswer(503, "WebhookNotReady", "the webhook is not ready yet: send it again"));
        return;
      }
      if (intake->Take(request)) return;
      refused = std::move(intake);
    }
  }

  void Add(const TriggerKey& trigger, const std::shared_ptr<WebhookIntake>& intake) {
    std::vector<ReceivedRequest> waiting;
    {
      const std::lock_guard lock(mutex_);
      intakes_[trigger] = intake;
      std::erase_if(parked_, [&](auto& parked) {
        if (parked.second.cancelled->load()) return true;
        if (parked.first != trigger) return false;
        waiting.push_back(std::move(parked.second));
        return true;
      });
    }
    for (ReceivedRequest& request : waiting) Receive(trigger, std::move(request));
  }

  void Remove(const TriggerKey& trigger, const std::shared_ptr<WebhookIntake>& intake) {
    const std::lock_guard lock(mutex_);
    const auto found = intakes_.find(trigger);
    if (found != intakes_.end() && found->second == intake) intakes_.erase(found);
  }

 private:
  std::mutex mutex_;
  std::map<TriggerKey, std::shared_ptr<WebhookIntake>> intakes_;  // guarded by mutex_
  std::vector<std::pair<TriggerKey, ReceivedRequest>>
      parked_;  // guarded by mutex_; in the order in which they came
};

class WebhookSource final : public EventSource {
 public:
  WebhookSource(std::shared_ptr<WebhookDesk> desk, TriggerKey key, std::shared_ptr<WebhookIntake> intake)
      : desk_(std::move(desk)), key_(std::move(key)), intake_(std::move(intake)) {}

  SourceTraits traits() const override { return {.durable = false, .lease = std::chrono::milliseconds(0)}; }
  absl::Status Start(EventSink& sink) override {
    intake_->Start(sink);
    desk_->Add(key_, intake_);
    return absl::OkStatus();
  }
  void Grant(std::size_t) override {}
  void Settle(const std::vector<Settlement>& settlements) override { intake_->Settle(settlements); }
  void Extend(const std::vector<EventToken>&) override {}
  void Quiesce() override {
    intake_->Quiesce();
    desk_->Remove(key_, intake_);
  }
  void Stop(std::chrono::steady_clock::time_point) override {
    Quiesce();
    intake_->Stop();
  }

 private:
  const std::shared_ptr<WebhookDesk> desk_;
  const TriggerKey key_;
  const std::shared_ptr<WebhookIntake> intake_;
};

class WebhookFactory final : public SourceFactory {
 public:
  explicit WebhookFactory(std::unique_ptr<HttpClient> client)
      : client_(client != nullptr ? std::move(client) : MakeHttpClient({})) {}

  v1::EventTrigger::SourceCase kind() const override { return v1::EventTrigger::kWebhook; }
  // Any gateway takes what comes to it.
  bool exclusive() const override { return false; }
  RequestReceiver* receiver() override { return desk_.get(); }

  absl::StatusOr<std::unique_ptr<EventSource>> Make(const v1::EventTrigger& trigger,
                                                    const SourceContext& context) override {
    if (certificates_ == nullptr) certificates_ = std::make_shared<SnsCertificates>(*client_, *context.clock);
    // One whose settings are wrong takes requests too, and answers why it cannot believe them.
    return std::make_unique<WebhookSource>(
        desk_, context.key,
        std::make_shared<WebhookIntake>(WebhookSettings::Of(trigger, context.key), context, *client_,
                                        certificates_));
  }

 private:
  const std::shared_ptr<WebhookDesk> desk_ = std::make_shared<WebhookDesk>();
  std::shared_ptr<SnsCertificates> certificates_;
  const std::unique_ptr<HttpClient> client_;  // ends before what its calls refer to
};

}  // namespace

std::unique_ptr<SourceFactory> MakeWebhookFactory(std::unique_ptr<HttpClient> client) {
  return std::make_unique<WebhookFactory>(std::move(client));
}

}  // namespace mayfly::gateway
