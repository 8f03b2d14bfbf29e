#include "gateway/sources/redis/redis_source.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <utility>

#include "base/host_port.h"
#include "gateway/sources/credentials.h"
#include "gateway/sources/durable_name.h"
#include "gateway/sources/redis/redis_consumer.h"
#include "gateway/sources/redis/redis_link.h"

namespace mayfly::gateway {
namespace {

class RedisSource final : public EventSource {
 public:
  RedisSource(RedisSettings settings, std::shared_ptr<RedisLink> link)
      : claim_idle_(settings.claim_idle),
        link_(std::move(link)),
        consumer_(std::make_shared<RedisConsumer>(std::move(settings), [link = std::weak_ptr(link_)] {
          if (const auto alive = link.lock()) alive->Wake();
        })) {}

  SourceTraits traits() const override { return {.durable = true, .lease = claim_idle_}; }
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
  const std::chrono::milliseconds claim_idle_;
  const std::shared_ptr<RedisLink> link_;
  const std::shared_ptr<RedisConsumer> consumer_;
};

// For people the host, and then what no other has: two that share a name would take each other's entries for their own.
std::string NewConsumerName() {
  char host[64] = "";
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random)
    random = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  return fmt::format("{}{}-{:016x}", RedisConsumer::kPrefix, host, random);
}

absl::StatusOr<RedisServer> ServerOf(const v1::EventTrigger& trigger) {
  const absl::StatusOr<Credentials> credentials =
      Credentials::Of(trigger, {kUsername, kPassword, kCa, kCertificate, kKey});
  if (!credentials.ok()) return credentials.status();
  const v1::RedisTrigger& redis = trigger.redis();
  const std::optional<base::HostPort> place = base::SplitHostPort(redis.server());
  if (!place) return absl::InvalidArgumentError(fmt::format("{} is not HOST:PORT", redis.server()));
  RedisServer server;
  server.host = place->host;
  server.port = place->port;
  server.database = redis.database();
  server.username = credentials->Get(kUsername);
  server.password = credentials->Get(kPassword);
  server.ca = credentials->Get(kCa);
  server.certificate = credentials->Get(kCertificate);
  server.key = credentials->Get(kKey);
  server.tls = redis.tls() || !server.ca.empty() || !server.certificate.empty();
  return server;
}

class RedisFactory final : public SourceFactory {
 public:
  v1::EventTrigger::SourceCase kind() const override { return v1::EventTrigger::kRedis; }
  // The group divides the entries among gateways.
  bool exclusive() const override { return false; }

  absl::StatusOr<std::unique_ptr<EventSource>> Make(const v1::EventTrigger& trigger,
                                                    const SourceContext& context) override {
    const absl::StatusOr<RedisServer> server = ServerOf(trigger);
    if (!server.ok()) return server.status();
    const v1::RedisTrigger& redis = trigger.redis();
    if (redis.streams().empty()) return absl::InvalidArgumentError("redis: the trigger names no stream");
    RedisSettings settings;
    settings.streams.assign(redis.streams().begin(), redis.streams().end());
    settings.group = redis.group();
    if (settings.group.empty()) settings.group = DurableName(context.key);
    settings.consumer = NewConsumerName();
    settings.from_new = redis.start_from() == v1::RedisTrigger::START_FROM_NEW;
    if (redis.claim_idle_ms() != 0) settings.claim_idle = std::chrono::milliseconds(redis.claim_idle_ms());
    absl::StatusOr<std::shared_ptr<RedisLink>> link = LinkOf(*server);
    if (!link.ok()) return base::WithContext(link.status(), "Secret " + trigger.secret_name());
    return std::make_unique<RedisSource>(std::move(settings), *std::move(link));
  }

 private:
  absl::StatusOr<std::shared_ptr<RedisLink>> LinkOf(const RedisServer& server) {
    const std::lock_guard lock(mutex_);
    std::erase_if(links_, [](const auto& entry) { return entry.second.expired(); });
    if (const auto known = links_.find(server); known != links_.end()) {
      if (std::shared_ptr<RedisLink> link = known->second.lock()) return link;
    }
    SslContext tls;
    if (server.tls) {
      absl::StatusOr<SslContext> made = MakeRedisTls(server.ca, server.certificate, server.key);
      if (!made.ok()) return made.status();
      tls = *std::move(made);
    }
    auto link = std::make_shared<RedisLink>(server, std::move(tls));
    links_[server] = link;
    return link;
  }

  std::mutex mutex_;
  std::map<RedisServer, std::weak_ptr<RedisLink>> links_;  // guarded by mutex_
};

}  // namespace

std::unique_ptr<SourceFactory> MakeRedisFactory() { return std::make_unique<RedisFactory>(); }

}  // namespace mayfly::gateway
