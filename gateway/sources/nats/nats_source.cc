#include "gateway/sources/nats/nats_source.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <utility>

#include "gateway/sources/credentials.h"
#include "gateway/sources/durable_name.h"
#include "gateway/sources/nats/nats_consumer.h"
#include "gateway/sources/nats/nats_key.h"
#include "gateway/sources/nats/nats_link.h"

namespace mayfly::gateway {
namespace {

constexpr std::chrono::milliseconds kAckWait{30'000};

class NatsSource final : public EventSource {
 public:
  NatsSource(NatsSettings settings, std::shared_ptr<NatsLink> link)
      : ack_wait_(settings.ack_wait),
        link_(std::move(link)),
        consumer_(std::make_shared<NatsConsumer>(std::move(settings), [link = std::weak_ptr(link_)] {
          if (const auto alive = link.lock()) alive->Wake();
        })) {}

  SourceTraits traits() const override { return {.durable = true, .lease = ack_wait_}; }
  absl::Status Start(EventSink& sink) override {
    consumer_->Attach(&sink);
    link_->Add(consumer_);
    return absl::OkStatus();
  }
  void Grant(std::size_t credits) override { consumer_->Grant(credits); }
  void Settle(const std::vector<Settlement>& settlements) override { consumer_->Settle(settlements); }
  void Extend(const std::vector<EventToken>& tokens) override { consumer_->Extend(tokens); }
  void Quiesce() override { consumer_->Quiesce(); }
  void Stop(std::chrono::steady_clock::time_point deadline) override { consumer_->Stop(deadline); }

 private:
  const std::chrono::milliseconds ack_wait_;
  const std::shared_ptr<NatsLink> link_;
  const std::shared_ptr<NatsConsumer> consumer_;
};

absl::StatusOr<NatsConnectionSettings> ConnectionOf(const v1::EventTrigger& trigger) {
  const absl::StatusOr<Credentials> credentials =
      Credentials::Of(trigger, {kUsername, kPassword, kToken, kNkeySeed, kCreds, kCa, kCertificate, kKey});
  if (!credentials.ok()) return credentials.status();
  NatsConnectionSettings settings;
  settings.servers.assign(trigger.nats().servers().begin(), trigger.nats().servers().end());
  settings.client_name = "mayfly";
  settings.username = credentials->Get(kUsername);
  settings.password = credentials->Get(kPassword);
  settings.token = credentials->Get(kToken);
  settings.nkey_seed = credentials->Get(kNkeySeed);
  settings.creds = credentials->Get(kCreds);
  settings.ca = credentials->Get(kCa);
  settings.certificate = credentials->Get(kCertificate);
  settings.key = credentials->Get(kKey);
  absl::Status usable;
  if (!settings.nkey_seed.empty()) usable = NatsPublicKeyOf(settings.nkey_seed).status();
  if (!settings.creds.empty()) usable = NatsJwtOf(settings.creds).status();
  if (!usable.ok()) return base::WithContext(usable, "Secret " + trigger.secret_name());
  return settings;
}

class NatsFactory final : public SourceFactory {
 public:
  v1::EventTrigger::SourceCase kind() const override { return v1::EventTrigger::kNats; }
  bool exclusive() const override { return false; }

  absl::StatusOr<std::unique_ptr<EventSource>> Make(const v1::EventTrigger& trigger,
                                                    const SourceContext& context) override {
    absl::StatusOr<NatsConnectionSettings> connection = ConnectionOf(trigger);
    if (!connection.ok()) return connection.status();
    const v1::NatsTrigger& nats = trigger.nats();
    NatsSettings settings;
    settings.api = nats.domain().empty() ? "$JS.API" : fmt::format("$JS.{}.API", nats.domain());
    settings.stream = nats.stream();
    settings.consumer = nats.consumer();
    if (settings.consumer.empty()) settings.consumer = DurableName(context.key);
    settings.subjects.assign(nats.subjects().begin(), nats.subjects().end());
    settings.create_subjects.assign(nats.create_stream_subjects().begin(),
                                    nats.create_stream_subjects().end());
    settings.start_from = nats.start_from();
    settings.ack_wait = nats.ack_wait_ms() == 0 ? kAckWait : std::chrono::milliseconds(nats.ack_wait_ms());
    settings.inbox_prefix = nats.inbox_prefix().empty() ? "_INBOX" : nats.inbox_prefix();
    return std::make_unique<NatsSource>(std::move(settings), LinkOf(*connection));
  }

 private:
  std::shared_ptr<NatsLink> LinkOf(const NatsConnectionSettings& settings) {
    const std::lock_guard lock(mutex_);
    std::erase_if(links_, [](const auto& entry) { return entry.second.expired(); });
    std::weak_ptr<NatsLink>& known = links_[settings];
    std::shared_ptr<NatsLink> link = known.lock();
    if (link == nullptr) {
      link = std::make_shared<NatsLink>(settings);
      known = link;
    }
    return link;
  }

  std::mutex mutex_;
  std::map<NatsConnectionSettings, std::weak_ptr<NatsLink>> links_;  // guarded by mutex_
};

}  // namespace

std::unique_ptr<SourceFactory> MakeNatsFactory() { return std::make_unique<NatsFactory>(); }

}  // namespace mayfly::gateway
