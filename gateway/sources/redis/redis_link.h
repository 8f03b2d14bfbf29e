// A RedisLink is one thread, and one connection beside those that consumers read over, for all triggers that have the same
// server and credentials; it is made again with backoff whenever it is lost.
//
// Thread-safe. Starts one thread, `redis`, on which its consumers live.
#pragma once

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "gateway/sources/redis/redis_connection.h"
#include "gateway/sources/redis/redis_consumer.h"

namespace mayfly::gateway {

class RedisLink {
 public:
  // `tls` is null without TLS.
  RedisLink(RedisServer server, SslContext tls);
  // Ends it, with what its consumers have not sent.
  ~RedisLink();

  // It is let go once it is detached.
  void Add(std::shared_ptr<RedisConsumer> consumer);
  void Wake() const;

 private:
  void Run(const std::stop_token& stop);
  void TakeConsumers(base::MonotonicTime now);
  void Serve(short ready, base::MonotonicTime now);
  void Disconnect(const absl::Status& why, base::MonotonicTime now);
  // Waits until something is to be done, `until` at the latest, and has the connections do it.
  void Wait(base::MonotonicTime until);

  const RedisServer server_;
  const SslContext tls_;
  const base::RealClock clock_;  // it outlives the source that made it, and its clock
  const base::FileDescriptor wake_;

  std::mutex mutex_;
  std::vector<std::shared_ptr<RedisConsumer>> added_;  // guarded by mutex_

  // The thread's own.
  std::vector<std::shared_ptr<RedisConsumer>> consumers_;
  std::unique_ptr<RedisConnection> acts_;
  bool connected_ = false;
  absl::Status why_;  // there is no connection
  int failures_ = 0;
  base::MonotonicTime connect_at_{};

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace mayfly::gateway
