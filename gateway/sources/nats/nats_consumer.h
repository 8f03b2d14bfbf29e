// A NatsConsumer is one trigger's side of a JetStream pull consumer: it finds or makes the consumer, asks for as many
// messages as it has credits for, acknowledges what is settled, and tells how many wait.
//
//   asks ── the consumer is there ──▶ pulls ── it is gone, or refused ──▶ asks again, with backoff
//
// Pulls stay open at the server, so that an idle trigger costs a heartbeat every 15 s. A pull that is not heard of for
// twice as long is taken for lost, and a new one comes to another inbox: nothing that was not granted is ever pushed.
// What could not be acknowledged because the connection was lost is acknowledged over the next.
//
// Threads: the first half is for the engine, thread-safe and without waiting, save Stop(). The second half, and all state
// but the mailbox, belongs to the NatsLink's thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gateway/sources/nats/nats_api.h"
#include "gateway/sources/nats/nats_connection.h"
#include "gateway/sources/source.h"
#include "gateway/sources/told_backlog.h"

namespace mayfly::gateway {

// A connection, as a consumer uses it.
class NatsWire {
 public:
  virtual ~NatsWire() = default;
  virtual absl::Status Publish(const std::string& subject, const std::string& reply,
                               std::string_view data) = 0;
  // Messages come to the consumer by OnMessage().
  virtual absl::StatusOr<std::uint64_t> Subscribe(const std::string& subject) = 0;
  virtual void Unsubscribe(std::uint64_t subscription) = 0;
  virtual void Drain(std::uint64_t subscription) = 0;
  virtual absl::Status Flush(std::chrono::milliseconds within) = 0;
};

class NatsConsumer {
 public:
  // `wake` has Turn() called soon, and is called from any thread.
  NatsConsumer(NatsSettings settings, std::function<void()> wake);

  // For the engine.
  void Attach(EventSink* sink);
  void Grant(std::size_t credits);
  void Settle(const std::vector<Settlement>& settlements);
  void Extend(const std::vector<EventToken>& tokens);
  void Quiesce();
  // Returns once what was settled is with the server, or at `deadline`. The sink is not called after that.
  void Stop(std::chrono::steady_clock::time_point deadline);

  // For the link.
  bool detached() const;
  void OnConnected(NatsWire* wire, base::MonotonicTime now);
  void OnDisconnected(const absl::Status& why);
  void OnMessage(std::unique_ptr<NatsMessage> message, base::MonotonicTime now);
  void OnDrained(std::uint64_t subscription);
  // The server has complained about something, perhaps about what this consumer did.
  void OnComplaint(const std::string& text, base::MonotonicTime now);
  // Does what is due, if anything is, and makes `next` earlier if something becomes due before.
  void TurnIfDue(base::MonotonicTime now, std::optional<base::MonotonicTime>& next);

 private:
  enum class Ask { kInfo, kCreate, kUpdate, kCreateStream };
  struct Request {
    Ask what = Ask::kInfo;
    std::string subject;
    std::string reply;
    base::MonotonicTime deadline{};
  };
  struct Unsettled {
    std::string ack;
    std::uint64_t sequence = 0;
    std::size_t bytes = 0;
  };
  struct Mailbox {
    std::size_t credits = 0;
    std::vector<Settlement> settlements;
    std::vector<EventToken> extended;
    bool quiet = false;
    bool stopping = false;
    std::chrono::steady_clock::time_point deadline{};
    bool news = false;
  };

  bool IsDue(base::MonotonicTime now) const;
  std::optional<base::MonotonicTime> Turn(base::MonotonicTime now);
  void TakeMail();
  void TakeSettlement(const Settlement& settlement);
  void Send();
  void PushCollected();
  void Listen(base::MonotonicTime now);
  void Forget();  // what was asked for and did not come
  void StartRequest(Ask what, base::MonotonicTime now);
  void OnReply(std::string_view data, base::MonotonicTime now);
  void OnConsumer(const NatsConsumerInfo& info, base::MonotonicTime now);
  void OnStatus(const NatsMessage& message, std::string_view code, base::MonotonicTime now);
  void OnDelivery(const NatsMessage& message, base::MonotonicTime now);
  void Refuse(const absl::Status& why, base::MonotonicTime now);
  void AskAgain(base::MonotonicTime at);
  void Pull(base::MonotonicTime now);
  void EndIfDone();
  std::uint64_t Waiting() const;
  Backlog Told() const;
  void TellBacklog(base::MonotonicTime now);
  void TellHealth(const absl::Status& health);

  const NatsSettings settings_;
  const std::function<void()> wake_;

  mutable std::mutex mail_mutex_;
  std::condition_variable ended_changed_;
  Mailbox mail_;            // guarded by mail_mutex_
  bool ended_ = false;      // guarded by mail_mutex_
  bool away_ = true;        // guarded by mail_mutex_; nothing can be sent
  std::size_t unsent_ = 0;  // guarded by mail_mutex_; acknowledgements that wait for a connection
  bool detached_ = false;   // guarded by mail_mutex_

  std::mutex sink_mutex_;      // held while the sink is called
  EventSink* sink_ = nullptr;  // guarded by sink_mutex_

  // Of the link's thread:
  NatsWire* wire_ = nullptr;
  std::string inbox_;  // subjects under it are this consumer's, of this subscription
  std::uint64_t subscription_ = 0;
  std::optional<Request> request_;
  std::uint64_t requests_ = 0;
  std::optional<base::MonotonicTime> ask_at_;
  int refusals_ = 0;  // in a row
  bool ready_ = false;
  NatsConsumerInfo info_;

  std::size_t credits_ = 0;    // granted, not asked for
  std::size_t remaining_ = 0;  // asked for, not come
  base::MonotonicTime heard_{};
  base::MonotonicTime pull_not_before_{};

  EventToken next_token_ = 1;
  std::unordered_map<EventToken, Unsettled> unsettled_;
  std::size_t unsettled_bytes_ = 0;
  std::uint64_t next_sequence_ = 0;  // after the last that came; 0: none did
  std::vector<SourceEvent> collected_;
  std::vector<std::pair<std::string, std::string>> outgoing_;
  std::vector<EventToken> extending_;
  bool sent_ = false;  // something that Stop() must know the server has read

  std::uint64_t pending_ = 0;  // at the server, as said last
  std::uint64_t others_ = 0;   // handed out to other gateways, as said last
  ToldBacklog told_backlog_;
  base::MonotonicTime poll_at_{};
  std::optional<absl::Status> told_health_;

  bool quiet_ = false;
  bool draining_ = false;
  bool drained_ = false;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point deadline_{};
  std::optional<base::MonotonicTime> turn_at_;
};

}  // namespace mayfly::gateway
