#include "gateway/sources/redis/redis_link.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

#include "base/backoff.h"
#include "base/log.h"
#include "base/thread.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

constexpr auto kFirstPause = 100ms;
constexpr auto kLongestPause = 5s;
constexpr auto kLong = 1h;

}  // namespace

RedisLink::RedisLink(RedisServer server, SslContext tls)
    : server_(std::move(server)),
      tls_(std::move(tls)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_(base::StartThread("redis", [this](const std::stop_token& stop) { Run(stop); })) {}

RedisLink::~RedisLink() {
  thread_.request_stop();
  Wake();
  thread_.join();
}

void RedisLink::Add(std::shared_ptr<RedisConsumer> consumer) {
  {
    const std::lock_guard lock(mutex_);
    added_.push_back(std::move(consumer));
  }
  Wake();
}

void RedisLink::Wake() const { (void)::eventfd_write(wake_.get(), 1); }

void RedisLink::TakeConsumers(base::MonotonicTime now) {
  std::vector<std::shared_ptr<RedisConsumer>> added;
  {
    const std::lock_guard lock(mutex_);
    added.swap(added_);
  }
  for (std::shared_ptr<RedisConsumer>& consumer : added) {
    if (connected_) {
      consumer->OnConnected(acts_.get(), server_, tls_.get(), now);
    } else if (failures_ > 0) {
      consumer->OnDisconnected(why_);
    }
    consumers_.push_back(std::move(consumer));
  }
  std::erase_if(consumers_,
                [](const std::shared_ptr<RedisConsumer>& consumer) { return consumer->detached(); });
}

void RedisLink::Serve(short ready, base::MonotonicTime now) {
  if (absl::Status status = acts_->Serve(ready, now); !status.ok()) return Disconnect(status, now);
  if (connected_ || !acts_->ready()) return;
  connected_ = true;
  if (failures_ > 0) base::log::Info("connected to Redis again", {{"server", server_.Address()}});
  failures_ = 0;
  for (const std::shared_ptr<RedisConsumer>& consumer : consumers_)
    consumer->OnConnected(acts_.get(), server_, tls_.get(), now);
}

void RedisLink::Disconnect(const absl::Status& why, base::MonotonicTime now) {
  if (failures_++ == 0)
    base::log::Warn("there is no connection to Redis", {{"why", std::string(why.message())}});
  why_ = why;
  connected_ = false;
  for (const std::shared_ptr<RedisConsumer>& consumer : consumers_) consumer->OnDisconnected(why);
  acts_.reset();
  connect_at_ = now + base::JitteredBackoff(failures_, kFirstPause, kLongestPause);
}

void RedisLink::Wait(base::MonotonicTime until) {
  std::vector<pollfd> fds = {{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
  std::vector<std::shared_ptr<RedisConsumer>> readers;
  const auto add = [&](const RedisConnection& connection) {
    fds.push_back({.fd = connection.socket(), .events = connection.events(), .revents = 0});
    if (const auto deadline = connection.deadline()) until = std::min(until, *deadline);
  };
  if (acts_ != nullptr) add(*acts_);
  for (const std::shared_ptr<RedisConsumer>& consumer : consumers_) {
    if (consumer->reads() == nullptr) continue;
    add(*consumer->reads());
    readers.push_back(consumer);
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock_.Now());
  (void)::poll(fds.data(), fds.size(), static_cast<int>(std::max<std::int64_t>(0, left.count())));
  eventfd_t count = 0;
  (void)::eventfd_read(wake_.get(), &count);
  const base::MonotonicTime now = clock_.Now();
  std::size_t at = 1;
  if (acts_ != nullptr) Serve(fds[at++].revents, now);
  for (const std::shared_ptr<RedisConsumer>& consumer : readers) {
    const short ready = fds[at++].revents;
    // It may have been lost with the other connection.
    if (consumer->reads() != nullptr) consumer->ServeReads(ready, now);
  }
}

void RedisLink::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    base::MonotonicTime now = clock_.Now();
    if (acts_ == nullptr && now >= connect_at_) {
      acts_ = std::make_unique<RedisConnection>(server_, tls_.get(), now);
      now = clock_.Now();
    }
    TakeConsumers(now);
    std::optional<base::MonotonicTime> next;
    absl::Status elsewhere;
    for (const std::shared_ptr<RedisConsumer>& consumer : consumers_) {
      consumer->TurnIfDue(now, next);
      elsewhere.Update(consumer->TakeElsewhere());
    }
    if (!elsewhere.ok() && connected_) {
      Disconnect(elsewhere, now);
      continue;
    }
    base::MonotonicTime until = next.value_or(now + kLong);
    if (acts_ == nullptr) until = std::min(until, connect_at_);
    Wait(until);
  }
  for (const std::shared_ptr<RedisConsumer>& consumer : consumers_)
    consumer->OnDisconnected(absl::CancelledError("the gateway ends"));
  acts_.reset();
}

}  // namespace mayfly::gateway
