// A KafkaConsumer is one trigger's member of its consumer group: it reads what it has credits for from the partitions that
// it is given, commits what is settled, and tells how many wait.
//
//   given ── where it stands is known ──▶ read ── taken back ──▶ left, once what runs of it is settled, or after 10 s
//                                              └─ lost ────────▶ gone at once: others may have it already
//
// Committed is the lowest offset that is not settled, with a note of what is settled beyond it (kafka_progress.h), so that
// neither a stop nor another member makes done events come again. What is released comes again from memory.
//
// Threads: the first half is for the engine, thread-safe and without waiting, save Stop(). Everything else is of its own
// thread, `kafka`, which alone uses the client.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "gateway/sources/kafka/kafka_client.h"
#include "gateway/sources/kafka/kafka_progress.h"
#include "gateway/sources/source.h"
#include "gateway/sources/told_backlog.h"

namespace mayfly::gateway {

class KafkaConsumer final : private KafkaListener {
 public:
  explicit KafkaConsumer(KafkaSettings settings);
  // Leaves the group, if Stop() has not.
  ~KafkaConsumer() override;

  absl::Status Start(EventSink& sink);
  void Grant(std::size_t credits);
  void Settle(const std::vector<Settlement>& settlements);
  void Quiesce();
  // Returns once what was settled is committed and the group is left, or at `deadline`. The sink is not called after that.
  void Stop(std::chrono::steady_clock::time_point deadline);

 private:
  struct Mailbox {
    std::size_t credits = 0;
    std::vector<Settlement> settlements;
    bool quiet = false;
    bool stopping = false;
    std::chrono::steady_clock::time_point deadline{};
  };
  // A partition that the group has given.
  struct Owned {
    TopicPartition partition;
    KafkaProgress progress;
    std::int64_t end = 0;  // of the partition, as known last
    std::int64_t committed = -1;
    std::string note;  // as committed
    std::size_t in_flight = 0;
    bool leaving = false;
    bool gone = false;
    // Who has it after it was lost and given again: what ends late counts there too.
    std::shared_ptr<Owned> successor;
  };
  struct Lost {
    std::shared_ptr<Owned> owned;
    base::MonotonicTime at{};
  };
  struct InFlight {
    std::shared_ptr<Owned> owned;
    std::int64_t offset = 0;
    SourceEvent event;  // as it was pushed, should it be released
  };
  struct Again {
    base::MonotonicTime at{};
    InFlight what;
  };

  void OnAssigned(std::vector<TopicPartition> partitions) override;
  void OnRevoked(std::vector<TopicPartition> partitions, bool lost) override;
  void OnCommitted(const absl::Status& status) override;
  void OnTrouble(const absl::Status& why, bool all) override;

  void Run(const std::stop_token& stop);
  void Wake() const;
  void WaitUntil(base::MonotonicTime until) const;
  // Does what is due; returns when something is next.
  base::MonotonicTime Turn(base::MonotonicTime now);
  void TakeMail(base::MonotonicTime now);
  void TakeSettlement(const Settlement& settlement, base::MonotonicTime now);
  void Pull();
  void OnMessage(const KafkaMessage& message);
  void OnRecord(const KafkaRecord& record, std::shared_ptr<Owned>& owned);
  void PushAgain(base::MonotonicTime now);
  void Hand(InFlight what, SourceEvent event);
  void Push();
  std::shared_ptr<Owned>* Find(std::string_view topic, std::int32_t partition);

  void Assign(base::MonotonicTime now);
  absl::StatusOr<std::vector<std::shared_ptr<Owned>>> Place(base::MonotonicTime now);
  absl::StatusOr<bool> IsNew(const std::vector<KafkaPosition>& committed);
  void Leave(base::MonotonicTime now);
  void Forget(const TopicPartition& partition, bool lost, base::MonotonicTime now);
  void Revoke(const std::vector<TopicPartition>& partitions);
  void Commit(base::MonotonicTime now);
  std::vector<KafkaPosition> Uncommitted() const;
  void Check(base::MonotonicTime now);
  void Count(base::MonotonicTime now);
  bool IsReady() const;
  std::uint64_t Waiting() const;
  Backlog Told() const;
  void TellBacklog(base::MonotonicTime now);
  void TellHealth();
  bool IsOver(base::MonotonicTime now) const;
  void End();

  const KafkaSettings settings_;
  const base::RealClock clock_;
  const base::FileDescriptor wake_;

  std::mutex mail_mutex_;
  std::condition_variable ended_changed_;
  Mailbox mail_;        // guarded by mail_mutex_
  bool ended_ = false;  // guarded by mail_mutex_

  std::mutex sink_mutex_;      // held while the sink is called
  EventSink* sink_ = nullptr;  // guarded by sink_mutex_

  // Of the thread:
  std::unique_ptr<KafkaClient> client_;
  std::size_t credits_ = 0;
  bool more_ = false;  // the client may have more for us
  bool quiet_ = false;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point deadline_{};

  bool joined_ = false;
  bool assigning_ = false;             // the group waits for Assign()
  std::vector<TopicPartition> given_;  // with that
  base::MonotonicTime assign_at_{};
  int failures_ = 0;                     // to assign, in a row
  std::vector<TopicPartition> leaving_;  // the group waits for Unassign() of these
  base::MonotonicTime leave_by_{};
  bool closing_ = false;
  std::map<TopicPartition, std::shared_ptr<Owned>> owned_;
  std::map<TopicPartition, Lost> lost_;
  std::shared_ptr<Owned>* last_found_ = nullptr;  // in owned_
  std::vector<TopicPartition> all_;               // partitions of the topics

  EventToken next_token_ = 1;
  std::unordered_map<EventToken, InFlight> in_flight_;
  std::size_t bytes_ = 0;  // in in_flight_ and again_
  std::deque<Again> again_;
  std::vector<SourceEvent> collected_;

  bool uncommitted_ = false;           // something may be to be committed
  std::vector<KafkaPosition> firsts_;  // of partitions that are not ours: see IsNew()
  std::vector<KafkaPosition> sent_;    // by the commit that is on its way
  base::MonotonicTime sent_at_{};
  base::MonotonicTime commit_at_{};

  absl::Status reason_;   // why it is not ready, as said last
  bool away_ = false;     // no broker answers
  bool checked_ = false;  // the topics are there
  base::MonotonicTime check_at_{};
  bool recount_ = false;
  base::MonotonicTime count_at_{};
  std::uint64_t others_ = 0;  // wait in partitions of other members
  ToldBacklog told_backlog_;
  std::optional<absl::Status> told_health_;

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace mayfly::gateway
