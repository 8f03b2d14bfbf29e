// A RedisConsumer is one trigger's consumer of a group of streams: it finds or makes the group, reads as many entries as it has
// credits for, acknowledges what is settled, takes what a consumer had that is not heard of any more, and tells how many wait.
//
//   looks for each stream and its group ── all are there ──▶ reads ── one is gone, or refused ──▶ looks again, with backoff
//
// It reads over a connection of its own, where the server lets it wait for what comes, and does everything else over one that
// it shares. An entry stays this consumer's while it is refreshed; what is released is made to look as if nobody had refreshed
// it for long, so that whoever looks next gets it. What could not be acknowledged because the connection was lost is
// acknowledged over the next.
//
// Threads: the first half is for the engine, thread-safe and without waiting, save Stop(). The second half, and all state
// but the mailbox, belongs to the RedisLink's thread. redis_consumer.cc is how entries are read and settled;
// redis_group.cc whose they are, and what is told of it all.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gateway/sources/redis/redis_connection.h"
#include "gateway/sources/redis/redis_entry.h"
#include "gateway/sources/source.h"
#include "gateway/sources/told_backlog.h"

namespace mayfly::gateway {

struct RedisSettings {
  std::vector<std::string> streams;
  std::string group;
  std::string consumer;   // no other gateway has it
  bool from_new = false;  // where a group that is made begins: what is there, or what comes
  // How long an entry that nobody has refreshed stays a consumer's own.
  std::chrono::milliseconds claim_idle{30'000};
};

class RedisConsumer : public std::enable_shared_from_this<RedisConsumer> {
 public:
  // Consumers of all gateways have it; others of the group are left alone.
  static constexpr char kPrefix[] = "mayfly-";

  // `wake` has TurnIfDue() called soon, and is called from any thread.
  RedisConsumer(RedisSettings settings, std::function<void()> wake);

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
  // `acts`, `server` and `tls` are good until OnDisconnected().
  void OnConnected(RedisConnection* acts, const RedisServer& server, ssl_ctx_st* tls,
                   base::MonotonicTime now);
  void OnDisconnected(const absl::Status& why);
  // Does what is due, if anything is, and makes `next` earlier if something becomes due before.
  void TurnIfDue(base::MonotonicTime now, std::optional<base::MonotonicTime>& next);
  // The connection that it reads over; null if there is none.
  RedisConnection* reads() { return reads_.get(); }
  void ServeReads(short ready, base::MonotonicTime now);
  // Why another server is to be looked for at the same address; OK if none is.
  absl::Status TakeElsewhere();

 private:
  struct Stream {
    std::string key;
    bool missing = false;                 // when it was looked for last
    std::optional<RedisId> last;          // nothing up to it comes any more, but what is not settled
    std::map<RedisId, EventToken> known;  // what this consumer has; 0: done, and to be acknowledged
    std::deque<RedisId> acks;
    std::size_t acks_sent = 0;  // the first of them, without an answer yet
    std::deque<RedisId> releases;
    std::size_t releases_sent = 0;
    std::optional<std::uint64_t> lag;  // not handed out, as known last
    std::uint64_t others = 0;          // handed out to other consumers, as known last
    std::string cursor = "0-0";        // where the search for what nobody refreshes goes on
    bool scanning = false;
  };
  struct Unsettled {
    std::size_t stream = 0;
    RedisId id;
    std::size_t bytes = 0;
  };
  // Entries that were another consumer's, until it is known how often each was handed out.
  struct Claimed {
    std::vector<SourceEvent> events;
    std::vector<RedisId> ids;
    std::size_t asked = 0;
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
  using Then = std::function<void(RedisConsumer&, RedisReply)>;

  // Asks over the shared connection; `then` is called if that is still the same.
  void Act(const std::vector<std::string>& words, Then then);
  // … and if it is still the same attempt.
  void Try(const std::vector<std::string>& words, Then then);
  RedisConnection::OnReply Guard(Then then, bool attempt);
  bool IsDue(base::MonotonicTime now) const;
  std::optional<base::MonotonicTime> Turn(base::MonotonicTime now);
  void TakeMail();
  void TakeSettlement(const Settlement& settlement);
  void Send(base::MonotonicTime now);
  void SendAcks(std::size_t stream);
  void SendReleases(std::size_t stream);
  void Refresh();
  void PushCollected();
  void PushHeld();
  void Read(base::MonotonicTime now);
  void OnEntries(RedisReply reply);
  void Arrive(std::size_t stream, const RedisId& id, SourceEvent event);
  void LetGo(base::MonotonicTime now);
  void EndIfDone();
  std::size_t MostEntries() const;  // at once, of each stream

  // Whose the entries are: redis_group.cc.
  void LookForGroups();
  void LookForGroup(std::size_t stream);
  void OnGroups(std::size_t stream, const RedisReply& reply);
  void MakeGroup(std::size_t stream);
  void MakeGroupAt(std::size_t stream, const std::string& place);
  void JoinGroup(std::size_t stream);
  void BecomeReady();
  bool TakeGroup(std::size_t stream, const RedisReply& group);
  void Poll(base::MonotonicTime now);
  void OnPoll(std::size_t stream, const RedisReply& reply);
  void CountLag(std::size_t stream, const std::string& delivered);
  void Scan(std::size_t stream);
  void OnScan(std::size_t stream, const RedisReply& reply);
  void Claim(std::size_t stream, const std::vector<RedisId>& ids);
  void OnClaim(std::size_t stream, const std::vector<RedisId>& ids, RedisReply reply);
  void LookForReleased(std::size_t stream, const std::vector<RedisId>& ids, const RedisReply& released);
  void PushClaimed(std::size_t stream, Claimed& claimed);
  void SayLost(std::size_t stream, std::size_t count);
  void Sweep(base::MonotonicTime now);
  void Leave();
  void OnTrouble(std::string_view words, const std::string& doing);
  void OnNonsense(const char* command);
  void Refuse(const absl::Status& why);
  void Restart(base::MonotonicTime at);
  std::uint64_t Waiting() const;
  Backlog Told() const;
  void TellBacklog(base::MonotonicTime now);
  void TellHealth(const absl::Status& health);

  const RedisSettings settings_;
  const std::function<void()> wake_;
  const base::RealClock clock_;  // it outlives the source that made it, and its clock

  mutable std::mutex mail_mutex_;
  std::condition_variable ended_changed_;
  Mailbox mail_;            // guarded by mail_mutex_
  bool ended_ = false;      // guarded by mail_mutex_
  bool away_ = true;        // guarded by mail_mutex_; nothing can be sent
  std::size_t unsent_ = 0;  // guarded by mail_mutex_; acknowledgements without an answer
  bool detached_ = false;   // guarded by mail_mutex_

  std::mutex sink_mutex_;      // held while the sink is called
  EventSink* sink_ = nullptr;  // guarded by sink_mutex_

  // Of the link's thread:
  RedisConnection* acts_ = nullptr;
  const RedisServer* server_ = nullptr;
  ssl_ctx_st* tls_ = nullptr;
  std::uint64_t round_ = 0;    // of acts_
  std::uint64_t attempt_ = 0;  // to become and stay ready
  absl::Status elsewhere_;

  std::unique_ptr<RedisConnection> reads_;
  bool reading_ = false;
  bool drop_reads_ = false;  // not from within its own callbacks
  std::optional<base::MonotonicTime> unblock_by_;

  std::vector<Stream> streams_;
  std::size_t looking_ = 0;  // streams whose group is not found yet
  bool ready_ = false;
  base::MonotonicTime proven_at_{};  // it has worked until then: it is well
  std::optional<base::MonotonicTime> look_at_;
  base::MonotonicTime looked_at_{};
  base::MonotonicTime send_at_{};
  int refusals_ = 0;  // in a row

  std::size_t credits_ = 0;
  std::size_t reserved_ = 0;  // credits of entries that are being claimed
  EventToken next_token_ = 1;
  std::unordered_map<EventToken, Unsettled> unsettled_;
  std::size_t unsettled_bytes_ = 0;
  std::size_t mean_bytes_ = std::size_t{1} << 20;  // of an entry; large until some have come
  std::vector<SourceEvent> collected_;
  std::deque<SourceEvent> held_;  // beyond the credits: the server counts for each stream on its own
  std::vector<EventToken> extending_;
  base::MonotonicTime refresh_at_{};

  std::size_t polling_ = 0;  // answers to come
  base::MonotonicTime poll_at_{};
  std::optional<base::MonotonicTime> scan_at_;
  base::MonotonicTime sweep_at_{};
  bool scripts_ = true;  // the server runs them for this user
  ToldBacklog told_backlog_;
  std::optional<absl::Status> told_health_;

  bool quiet_ = false;
  bool stopping_ = false;
  std::size_t leaving_ = 0;
  bool left_ = false;
  std::chrono::steady_clock::time_point deadline_{};
  std::optional<base::MonotonicTime> turn_at_;
};

}  // namespace mayfly::gateway
