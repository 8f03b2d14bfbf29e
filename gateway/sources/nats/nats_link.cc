#include "gateway/sources/nats/nats_link.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/backoff.h"
#include "base/log.h"
#include "base/thread.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostItems = 4'096;
constexpr auto kFirstPause = 100ms;
constexpr auto kLongestPause = 5s;
constexpr auto kLong = 1h;

}  // namespace

// The connection as one consumer uses it.
class NatsLink::Wire final : public NatsWire {
 public:
  Wire(NatsLink& link, NatsConsumer& consumer) : link_(link), consumer_(consumer) {}
  ~Wire() override {
    std::erase_if(link_.subscriptions_, [this](const auto& entry) { return entry.second == &consumer_; });
  }

  absl::Status Publish(const std::string& subject, const std::string& reply, std::string_view data) override {
    return link_.connection_->Publish(subject, reply, data);
  }
  absl::StatusOr<std::uint64_t> Subscribe(const std::string& subject) override {
    absl::StatusOr<std::uint64_t> subscription = link_.connection_->Subscribe(subject);
    if (subscription.ok()) link_.subscriptions_[*subscription] = &consumer_;
    return subscription;
  }
  void Unsubscribe(std::uint64_t subscription) override {
    link_.subscriptions_.erase(subscription);
    link_.connection_->Unsubscribe(subscription);
  }
  void Drain(std::uint64_t subscription) override { link_.connection_->Drain(subscription); }
  absl::Status Flush(std::chrono::milliseconds within) override { return link_.connection_->Flush(within); }

 private:
  NatsLink& link_;
  NatsConsumer& consumer_;
};

NatsLink::NatsLink(NatsConnectionSettings settings)
    : settings_(std::move(settings)),
      thread_(base::StartThread("nats", [this](const std::stop_token& stop) { Run(stop); })) {}

NatsLink::~NatsLink() {
  thread_.request_stop();
  thread_.join();
}

void NatsLink::Add(std::shared_ptr<NatsConsumer> consumer) {
  {
    const std::lock_guard lock(mutex_);
    added_.push_back(std::move(consumer));
  }
  Wake();
}

void NatsLink::TakeConsumers(base::MonotonicTime now) {
  std::vector<std::shared_ptr<NatsConsumer>> added;
  {
    const std::lock_guard lock(mutex_);
    added.swap(added_);
  }
  for (std::shared_ptr<NatsConsumer>& consumer : added) {
    if (connection_ != nullptr) {
      auto wire = std::make_unique<Wire>(*this, *consumer);
      consumer->OnConnected(wire.get(), now);
      wires_[consumer.get()] = std::move(wire);
    } else if (tried_) {
      consumer->OnDisconnected(why_);
    }
    consumers_.push_back(std::move(consumer));
  }
  std::erase_if(consumers_, [this](const std::shared_ptr<NatsConsumer>& consumer) {
    if (!consumer->detached()) return false;
    for (auto it = subscriptions_.begin(); it != subscriptions_.end();) {
      if (it->second != consumer.get()) {
        ++it;
        continue;
      }
      if (connection_ != nullptr) connection_->Unsubscribe(it->first);
      it = subscriptions_.erase(it);
    }
    wires_.erase(consumer.get());
    return true;
  });
}

void NatsLink::Connect() {
  absl::StatusOr<std::unique_ptr<NatsConnection>> connection = NatsConnection::Connect(settings_, inbox_);
  const base::MonotonicTime now = clock_.Now();
  tried_ = true;
  if (!connection.ok()) {
    return Disconnect(
        base::WithContext(connection.status(), fmt::format("{}", fmt::join(settings_.servers, ", "))), now);
  }
  connection_ = *std::move(connection);
  if (failures_ > 0)
    base::log::Info("connected to NATS again",
                    {{"servers", fmt::format("{}", fmt::join(settings_.servers, ","))}});
  failures_ = 0;
  for (const std::shared_ptr<NatsConsumer>& consumer : consumers_) {
    auto wire = std::make_unique<Wire>(*this, *consumer);
    consumer->OnConnected(wire.get(), now);
    wires_[consumer.get()] = std::move(wire);
  }
}

void NatsLink::Disconnect(const absl::Status& why, base::MonotonicTime now) {
  if (failures_++ == 0)
    base::log::Warn("there is no connection to NATS", {{"why", std::string(why.message())}});
  why_ = why;
  for (const std::shared_ptr<NatsConsumer>& consumer : consumers_) consumer->OnDisconnected(why);
  wires_.clear();
  subscriptions_.clear();
  connection_.reset();
  connect_at_ = now + base::JitteredBackoff(failures_, kFirstPause, kLongestPause);
}

void NatsLink::Dispatch(NatsInbox::Item item, base::MonotonicTime now) {
  if (connection_ == nullptr || item.connection != connection_->id()) return;
  using Kind = NatsInbox::Item::Kind;
  if (item.kind == Kind::kClosed) {
    return Disconnect(
        absl::UnavailableError(fmt::format("{}: {}", fmt::join(settings_.servers, ", "), item.text)), now);
  }
  if (item.kind == Kind::kError) {
    for (const std::shared_ptr<NatsConsumer>& consumer : consumers_) consumer->OnComplaint(item.text, now);
    return;
  }
  const auto found = subscriptions_.find(item.subscription);
  if (found == subscriptions_.end()) return;
  if (item.kind == Kind::kMessage) {
    found->second->OnMessage(std::move(item.message), now);
  } else {
    found->second->OnDrained(item.subscription);
  }
}

void NatsLink::Run(const std::stop_token& stop) {
  std::optional<base::MonotonicTime> next;
  while (!stop.stop_requested()) {
    base::MonotonicTime now = clock_.Now();
    if (connection_ == nullptr && now >= connect_at_) Connect();
    now = clock_.Now();
    TakeConsumers(now);
    next.reset();
    for (const std::shared_ptr<NatsConsumer>& consumer : consumers_) consumer->TurnIfDue(now, next);
    base::MonotonicTime until = next.value_or(now + kLong);
    if (connection_ == nullptr) until = std::min(until, connect_at_);
    for (NatsInbox::Item& item : inbox_->Take(clock_, stop, until, kMostItems))
      Dispatch(std::move(item), clock_.Now());
  }
  wires_.clear();
  connection_.reset();
}

}  // namespace mayfly::gateway
