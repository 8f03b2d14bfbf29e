// A KafkaClient is one member of a consumer group: it reads the partitions that the group gives it, and commits.
//
// The one place that knows librdkafka. Messages of all partitions come through one queue of bounded size, apart from what
// else there is to hear: so nothing is read that nobody has room for, while the client goes on as a member of its group.
// (To pause partitions instead throws away what was fetched, each time.)
//
// Not thread-safe. librdkafka has a thread of its own, and one for each broker.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "gateway/sources/kafka/kafka_record.h"

struct rd_kafka_message_s;

namespace mayfly::gateway {

struct KafkaSettings {
  std::vector<std::string> brokers;  // "host:port"
  std::vector<std::string> topics;
  std::string group;
  bool from_latest = false;
  std::chrono::milliseconds session_timeout{10'000};
  bool tls = false;
  std::string mechanism;  // of SASL, with username
  // Each may be "".
  std::string username;
  std::string password;
  std::string ca;           // PEM
  std::string certificate;  // PEM, with key
  std::string key;
};

struct TopicPartition {
  std::string topic;
  std::int32_t partition = 0;

  auto operator<=>(const TopicPartition&) const = default;
  std::string ToString() const;
};

// An offset of a partition, with the text that is committed beside it.
struct KafkaPosition {
  TopicPartition partition;
  std::int64_t offset = 0;
  std::string note;
};

class KafkaMessage {
 public:
  explicit KafkaMessage(rd_kafka_message_s* message) : message_(message) {}

  // With a failure: whose it is, as far as it is anybody's.
  std::string_view topic() const;
  std::int32_t partition() const;
  std::int64_t offset() const;
  // The end of the partition, for now: offset() is what comes next.
  bool is_end() const;
  // Not OK: this is no record, and what the broker or the client says instead.
  absl::Status failure() const;
  // Of a record.
  KafkaRecord record() const;

 private:
  struct Destroy {
    void operator()(rd_kafka_message_s* message) const;
  };
  std::unique_ptr<rd_kafka_message_s, Destroy> message_;
};

// What a client tells from within Serve() and Close().
class KafkaListener {
 public:
  virtual ~KafkaListener() = default;
  // The group gives these, in addition; perhaps none. Answer with Assign() of all of them, soon.
  virtual void OnAssigned(std::vector<TopicPartition> partitions) = 0;
  // The group takes these back. Answer with Unassign() of all of them. `lost`: others may have them already.
  virtual void OnRevoked(std::vector<TopicPartition> partitions, bool lost) = 0;
  // What became of the last Commit().
  virtual void OnCommitted(const absl::Status& status) = 0;
  // A broker, or with kUnavailable and `all` every one, is out of reach; or something is refused.
  virtual void OnTrouble(const absl::Status& why, bool all) = 0;
};

class KafkaClient {
 public:
  using Milliseconds = std::chrono::milliseconds;

  // Writes to `wake`, an eventfd, whenever there is something to serve or to take. Both outlive the client.
  // kInvalidArgument is a setting that cannot be.
  static absl::StatusOr<std::unique_ptr<KafkaClient>> Make(const KafkaSettings& settings,
                                                           KafkaListener& listener, int wake);
  // Waits for threads of librdkafka, a moment.
  ~KafkaClient();

  // Joins the group, in the background; again: looks for the topics at once.
  absl::Status Subscribe();
  // Calls the listener.
  void Serve();
  // Up to `most` messages that have come. If it is as many, there may be more.
  std::vector<KafkaMessage> Take(std::size_t most);

  // Reads each from its offset.
  absl::Status Assign(const std::vector<KafkaPosition>& positions);
  absl::Status Unassign(const std::vector<TopicPartition>& partitions);
  // Sends it; one at a time.
  absl::Status Commit(const std::vector<KafkaPosition>& positions);

  // These ask brokers, and wait for up to `within`.
  // An offset of -1: nothing is committed.
  absl::StatusOr<std::vector<KafkaPosition>> Committed(const std::vector<TopicPartition>& partitions,
                                                       Milliseconds within);
  enum class Edge { kBegin, kEnd };
  absl::StatusOr<std::map<TopicPartition, std::int64_t>> Offsets(
      const std::vector<TopicPartition>& partitions, Edge edge, Milliseconds within);
  // All partitions of the topics; what is wrong with one of them.
  absl::StatusOr<std::vector<TopicPartition>> Partitions(Milliseconds within);

  // Leaves the group. Partitions are unassigned by whoever is told of them; the listener does that in OnRevoked().
  void Close(std::chrono::steady_clock::time_point deadline);

 private:
  struct Impl;
  explicit KafkaClient(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::gateway
