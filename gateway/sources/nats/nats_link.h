// A NatsLink is one connection for all triggers that have the same servers and credentials, made again with backoff
// whenever it is lost. So a thousand idle triggers of one server cost one connection.
//
// Thread-safe. Starts one thread, `nats`, on which its consumers live.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "gateway/sources/nats/nats_connection.h"
#include "gateway/sources/nats/nats_consumer.h"

namespace mayfly::gateway {

class NatsLink {
 public:
  explicit NatsLink(NatsConnectionSettings settings);
  // Ends it, with what its consumers have not sent.
  ~NatsLink();

  // It is let go once it is detached.
  void Add(std::shared_ptr<NatsConsumer> consumer);
  void Wake() { inbox_->Wake(); }

 private:
  class Wire;

  void Run(const std::stop_token& stop);
  void TakeConsumers(base::MonotonicTime now);
  void Connect();
  void Disconnect(const absl::Status& why, base::MonotonicTime now);
  void Dispatch(NatsInbox::Item item, base::MonotonicTime now);

  const NatsConnectionSettings settings_;
  const base::RealClock clock_;  // it outlives the source that made it, and its clock
  const std::shared_ptr<NatsInbox> inbox_ = std::make_shared<NatsInbox>();

  std::mutex mutex_;
  std::vector<std::shared_ptr<NatsConsumer>> added_;  // guarded by mutex_

  // The thread's own.
  std::vector<std::shared_ptr<NatsConsumer>> consumers_;
  std::unordered_map<std::uint64_t, NatsConsumer*> subscriptions_;
  std::unique_ptr<NatsConnection> connection_;
  std::unordered_map<const NatsConsumer*, std::unique_ptr<Wire>> wires_;
  absl::Status why_;  // there is no connection
  bool tried_ = false;
  int failures_ = 0;
  base::MonotonicTime connect_at_{};

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace mayfly::gateway
