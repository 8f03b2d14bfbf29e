#include "gateway/sources/kafka/kafka_source.h"

#include <utility>

#include "gateway/sources/credentials.h"
#include "gateway/sources/durable_name.h"
#include "gateway/sources/kafka/kafka_consumer.h"

namespace mayfly::gateway {
namespace {

constexpr std::chrono::milliseconds kSessionTimeout{10'000};

class KafkaSource final : public EventSource {
 public:
  explicit KafkaSource(KafkaSettings settings) : consumer_(std::move(settings)) {}

  // A partition is its gateway's as long as that lives: there is nothing to extend.
  SourceTraits traits() const override { return {.durable = true, .lease = {}}; }
  absl::Status Start(EventSink& sink) override { return consumer_.Start(sink); }
  void Grant(std::size_t credits) override { consumer_.Grant(credits); }
  void Settle(const std::vector<Settlement>& settlements) override { consumer_.Settle(settlements); }
  void Extend(const std::vector<EventToken>&) override {}
  void Quiesce() override { consumer_.Quiesce(); }
  void Stop(std::chrono::steady_clock::time_point deadline) override { consumer_.Stop(deadline); }

 private:
  KafkaConsumer consumer_;
};

std::string_view MechanismOf(v1::KafkaTrigger::Mechanism mechanism) {
  switch (mechanism) {
    case v1::KafkaTrigger::SCRAM_SHA_256:
      return "SCRAM-SHA-256";
    case v1::KafkaTrigger::SCRAM_SHA_512:
      return "SCRAM-SHA-512";
    default:
      return "PLAIN";
  }
}

class KafkaFactory final : public SourceFactory {
 public:
  v1::EventTrigger::SourceCase kind() const override { return v1::EventTrigger::kKafka; }
  // The group divides the partitions among gateways.
  bool exclusive() const override { return false; }

  absl::StatusOr<std::unique_ptr<EventSource>> Make(const v1::EventTrigger& trigger,
                                                    const SourceContext& context) override {
    const absl::StatusOr<Credentials> credentials =
        Credentials::Of(trigger, {kUsername, kPassword, kCa, kCertificate, kKey});
    if (!credentials.ok()) return credentials.status();
    const v1::KafkaTrigger& kafka = trigger.kafka();
    KafkaSettings settings;
    settings.brokers.assign(kafka.brokers().begin(), kafka.brokers().end());
    settings.topics.assign(kafka.topics().begin(), kafka.topics().end());
    settings.group = kafka.group();
    if (settings.group.empty()) settings.group = DurableName(context.key);
    settings.from_latest = kafka.start_from() == v1::KafkaTrigger::START_FROM_LATEST;
    settings.session_timeout = kafka.session_timeout_ms() == 0
                                   ? kSessionTimeout
                                   : std::chrono::milliseconds(kafka.session_timeout_ms());
    settings.tls = kafka.tls();
    settings.mechanism = MechanismOf(kafka.mechanism());
    settings.username = credentials->Get(kUsername);
    settings.password = credentials->Get(kPassword);
    settings.ca = credentials->Get(kCa);
    settings.certificate = credentials->Get(kCertificate);
    settings.key = credentials->Get(kKey);
    return std::make_unique<KafkaSource>(std::move(settings));
  }
};

}  // namespace

std::unique_ptr<SourceFactory> MakeKafkaFactory() { return std::make_unique<KafkaFactory>(); }

}  // namespace mayfly::gateway
