#include "gateway/sources/kafka/kafka_client.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

// What waits in memory, of all partitions together; a broker that answers may add one fetch.
constexpr std::string_view kQueuedKb = "16384";
constexpr std::string_view kQueuedMessages = "20000";
constexpr std::string_view kFetchBytes = "4194304";
constexpr int kServeMs = 50;
constexpr int kScramMended = 0x020601ff;

absl::Status StatusOf(rd_kafka_resp_err_t code, std::string_view text) {
  const std::string words(text);
  switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      return absl::OkStatus();
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return absl::PermissionDeniedError(words);
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return absl::NotFoundError(words);
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
      return absl::FailedPreconditionError(words);
    default:
      return absl::UnavailableError(words);
  }
}

absl::Status StatusOf(rd_kafka_resp_err_t code) { return StatusOf(code, rd_kafka_err2str(code)); }

absl::Status StatusOf(rd_kafka_error_t* error) {
  if (error == nullptr) return absl::OkStatus();
  absl::Status status = StatusOf(rd_kafka_error_code(error), rd_kafka_error_string(error));
  rd_kafka_error_destroy(error);
  return status;
}

struct FreeList {
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
};
using List = std::unique_ptr<rd_kafka_topic_partition_list_t, FreeList>;

List ListOf(const std::vector<TopicPartition>& partitions, std::int64_t offset = RD_KAFKA_OFFSET_INVALID) {
  List list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const TopicPartition& each : partitions)
    rd_kafka_topic_partition_list_add(list.get(), each.topic.c_str(), each.partition)->offset = offset;
  return list;
}

List ListOf(const std::vector<KafkaPosition>& positions) {
  List list(rd_kafka_topic_partition_list_new(static_cast<int>(positions.size())));
  for (const KafkaPosition& each : positions) {
    rd_kafka_topic_partition_t* const added =
        rd_kafka_topic_partition_list_add(list.get(), each.partition.topic.c_str(), each.partition.partition);
    added->offset = each.offset;
    if (each.note.empty()) continue;
    added->metadata = ::strndup(each.note.data(), each.note.size());  // the list frees it
    added->metadata_size = each.note.size();
  }
  return list;
}

std::vector<TopicPartition> PartitionsOf(const rd_kafka_topic_partition_list_t* list) {
  std::vector<TopicPartition> partitions;
  for (int i = 0; list != nullptr && i < list->cnt; ++i)
    partitions.push_back({list->elems[i].topic, list->elems[i].partition});
  return partitions;
}

// The first failure of one of them.
absl::Status FirstFailure(const rd_kafka_topic_partition_list_t* list) {
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& each = list->elems[i];
    if (each.err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return base::WithContext(StatusOf(each.err), fmt::format("{}/{}", each.topic, each.partition));
  }
  return absl::OkStatus();
}

}  // namespace

std::string TopicPartition::ToString() const { return fmt::format("{}/{}", topic, partition); }

void KafkaMessage::Destroy::operator()(rd_kafka_message_s* message) const {
  rd_kafka_message_destroy(message);
}

std::string_view KafkaMessage::topic() const {
  return message_->rkt == nullptr ? std::string_view() : rd_kafka_topic_name(message_->rkt);
}

std::int32_t KafkaMessage::partition() const { return message_->partition; }
std::int64_t KafkaMessage::offset() const { return message_->offset; }
bool KafkaMessage::is_end() const { return message_->err == RD_KAFKA_RESP_ERR__PARTITION_EOF; }
absl::Status KafkaMessage::failure() const {
  return message_->err == RD_KAFKA_RESP_ERR_NO_ERROR
             ? absl::OkStatus()
             : StatusOf(message_->err, rd_kafka_message_errstr(message_.get()));
}

KafkaRecord KafkaMessage::record() const {
  KafkaRecord record;
  record.topic = topic();
  record.partition = message_->partition;
  record.offset = message_->offset;
  record.timestamp_ms = rd_kafka_message_timestamp(message_.get(), nullptr);
  record.has_key = message_->key != nullptr;
  if (message_->key != nullptr) record.key = {static_cast<const char*>(message_->key), message_->key_len};
  if (message_->payload != nullptr)
    record.value = {static_cast<const char*>(message_->payload), message_->len};
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(message_.get(), &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return record;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; ++i)
    record.headers.emplace_back(
        name, std::string_view(static_cast<const char*>(value), value == nullptr ? 0 : size));
  return record;
}

struct KafkaClient::Impl {
  explicit Impl(KafkaListener& to_tell) : listener(to_tell) {}
  ~Impl() {
    if (events != nullptr) rd_kafka_queue_io_event_enable(events, -1, nullptr, 0);
    if (messages != nullptr) rd_kafka_queue_io_event_enable(messages, -1, nullptr, 0);
    for (const auto& [name, topic] : topics) rd_kafka_topic_destroy(topic);
    if (messages != nullptr) rd_kafka_queue_destroy(messages);
    if (events != nullptr) rd_kafka_queue_destroy(events);
    // What has not left the group in time leaves it by its session's end.
    if (client != nullptr) rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }

  static void OnRebalance(rd_kafka_t* client, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list,
                          void* opaque) {
    KafkaListener& listener = static_cast<Impl*>(opaque)->listener;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) return listener.OnAssigned(PartitionsOf(list));
    if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
      return listener.OnRevoked(PartitionsOf(list), rd_kafka_assignment_lost(client) != 0);
    // Whatever else it is: nothing is ours now.
    listener.OnRevoked(PartitionsOf(list), true);
    rd_kafka_assign(client, nullptr);
  }
  static void OnCommit(rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list,
                       void* opaque) {
    absl::Status status = StatusOf(code);
    if (status.ok() && list != nullptr) status = FirstFailure(list);
    static_cast<Impl*>(opaque)->listener.OnCommitted(status);
  }
  static void OnError(rd_kafka_t*, int code, const char* reason, void* opaque) {
    const auto error = static_cast<rd_kafka_resp_err_t>(code);
    auto* const impl = static_cast<Impl*>(opaque);
    std::string words = reason;
    // How long it took, and in which state, is another each time: "… (after 3ms in state CONNECT, 1 identical …)".
    words.erase(std::min(words.find(" (after "), words.size()));
    if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION && impl->faulty_scram) {
      words += fmt::format(
          "; librdkafka {} speaks SCRAM with a fault that brokers of today refuse, which 2.6.1 has mended: "
          "use "
          "PLAIN over TLS, or a certificate",
          rd_kafka_version_str());
    }
    impl->listener.OnTrouble(StatusOf(error, words), error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN);
  }
  // What matters comes by OnError(); the rest is librdkafka's own story, for whoever wants it.
  static void OnLog(const rd_kafka_t*, int, const char* facility, const char* text) {
    base::log::Debug("librdkafka", {{"facility", facility}, {"text", text}});
  }

  KafkaListener& listener;
  std::vector<std::string> names;
  bool faulty_scram = false;
  rd_kafka_t* client = nullptr;
  rd_kafka_queue_t* events = nullptr;
  rd_kafka_queue_t* messages = nullptr;
  std::map<std::string, rd_kafka_topic_t*> topics;
};

namespace {

// Collects the first failure of many calls.
class Configuration {
 public:
  Configuration() : conf_(rd_kafka_conf_new()) {}
  ~Configuration() {
    if (conf_ != nullptr) rd_kafka_conf_destroy(conf_);
  }
  Configuration(const Configuration&) = delete;
  Configuration& operator=(const Configuration&) = delete;

  void Set(const char* name, std::string_view value) {
    std::array<char, 512> error{};
    if (status_.ok() && rd_kafka_conf_set(conf_, name, std::string(value).c_str(), error.data(),
                                          error.size()) != RD_KAFKA_CONF_OK)
      status_ = absl::InvalidArgumentError(error.data());
  }
  rd_kafka_conf_t* get() { return conf_; }
  rd_kafka_conf_t* release() { return std::exchange(conf_, nullptr); }
  const absl::Status& status() const { return status_; }

 private:
  rd_kafka_conf_t* conf_;
  absl::Status status_;
};

void SetSecurity(const KafkaSettings& settings, Configuration& conf) {
  const bool tls = settings.tls || !settings.ca.empty() || !settings.certificate.empty();
  const bool sasl = !settings.username.empty();
  conf.Set("security.protocol", tls ? (sasl ? "sasl_ssl" : "ssl") : (sasl ? "sasl_plaintext" : "plaintext"));
  if (sasl) {
    conf.Set("sasl.mechanism", settings.mechanism);
    conf.Set("sasl.username", settings.username);
    conf.Set("sasl.password", settings.password);
  }
  if (!tls) return;
  conf.Set("ssl.endpoint.identification.algorithm", "https");
  if (!settings.ca.empty()) conf.Set("ssl.ca.pem", settings.ca);
  if (settings.certificate.empty()) return;
  conf.Set("ssl.certificate.pem", settings.certificate);
  conf.Set("ssl.key.pem", settings.key);
}

}  // namespace

KafkaClient::KafkaClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KafkaClient::~KafkaClient() = default;

absl::StatusOr<std::unique_ptr<KafkaClient>> KafkaClient::Make(const KafkaSettings& settings,
                                                               KafkaListener& listener, int wake) {
  auto impl = std::make_unique<Impl>(listener);
  impl->names = settings.topics;
  impl->faulty_scram = settings.mechanism.starts_with("SCRAM") && rd_kafka_version() < kScramMended;
  Configuration conf;
  conf.Set("bootstrap.servers", fmt::format("{}", fmt::join(settings.brokers, ",")));
  conf.Set("client.id", "mayfly");
  conf.Set("group.id", settings.group);
  conf.Set("partition.assignment.strategy", "cooperative-sticky");
  conf.Set("enable.auto.commit", "false");
  conf.Set("enable.auto.offset.store", "false");
  // Of a group without a place, and of one whose place the server has deleted. The former never happens: a place is
  // committed before anything is read.
  conf.Set("auto.offset.reset", "earliest");
  conf.Set("isolation.level", "read_committed");
  conf.Set("check.crcs", "true");
  conf.Set("enable.partition.eof", "true");
  conf.Set("session.timeout.ms", fmt::format("{}", settings.session_timeout.count()));
  conf.Set("heartbeat.interval.ms",
           fmt::format("{}", std::clamp<std::int64_t>(settings.session_timeout.count() / 4, 100, 3'000)));
  conf.Set("max.poll.interval.ms",
           fmt::format("{}", std::max<std::int64_t>(300'000, settings.session_timeout.count())));
  conf.Set("queued.max.messages.kbytes", kQueuedKb);
  conf.Set("queued.min.messages", kQueuedMessages);
  conf.Set("fetch.max.bytes", kFetchBytes);
  // A broker that is frozen is found out within a quarter of a minute.
  conf.Set("socket.timeout.ms", "15000");
  conf.Set("socket.connection.setup.timeout.ms", "5000");
  conf.Set("socket.keepalive.enable", "true");
  conf.Set("socket.nagle.disable", "true");
  conf.Set("reconnect.backoff.ms", "100");
  conf.Set("reconnect.backoff.max.ms", "5000");
  // How soon new partitions, and topics that were not there, are seen.
  conf.Set("topic.metadata.refresh.interval.ms", "10000");
  SetSecurity(settings, conf);
  if (!conf.status().ok()) return conf.status();
  rd_kafka_conf_set_opaque(conf.get(), impl.get());
  rd_kafka_conf_set_rebalance_cb(conf.get(), &Impl::OnRebalance);
  rd_kafka_conf_set_offset_commit_cb(conf.get(), &Impl::OnCommit);
  rd_kafka_conf_set_error_cb(conf.get(), &Impl::OnError);
  rd_kafka_conf_set_log_cb(conf.get(), &Impl::OnLog);
  std::array<char, 512> error{};
  impl->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf.get(), error.data(), error.size());
  if (impl->client == nullptr) return absl::InvalidArgumentError(error.data());
  (void)conf.release();  // the client's now
  rd_kafka_poll_set_consumer(impl->client);
  impl->events = rd_kafka_queue_get_consumer(impl->client);
  impl->messages = rd_kafka_queue_new(impl->client);
  const std::uint64_t one = 1;
  rd_kafka_queue_io_event_enable(impl->events, wake, &one, sizeof one);
  rd_kafka_queue_io_event_enable(impl->messages, wake, &one, sizeof one);
  for (const std::string& name : settings.topics)
    impl->topics[name] = rd_kafka_topic_new(impl->client, name.c_str(), nullptr);
  return std::unique_ptr<KafkaClient>(new KafkaClient(std::move(impl)));
}

absl::Status KafkaClient::Subscribe() {
  std::vector<TopicPartition> topics;
  for (const std::string& name : impl_->names) topics.push_back({name, RD_KAFKA_PARTITION_UA});
  return StatusOf(rd_kafka_subscribe(impl_->client, ListOf(topics).get()));
}

void KafkaClient::Serve() {
  while (rd_kafka_message_t* const raw = rd_kafka_consumer_poll(impl_->client, 0)) {
    const KafkaMessage message(raw);
    if (!message.failure().ok() && !message.is_end()) impl_->listener.OnTrouble(message.failure(), false);
  }
}

std::vector<KafkaMessage> KafkaClient::Take(std::size_t most) {
  std::vector<rd_kafka_message_t*> raw(most);
  const ssize_t count = rd_kafka_consume_batch_queue(impl_->messages, 0, raw.data(), most);
  std::vector<KafkaMessage> messages;
  messages.reserve(static_cast<std::size_t>(std::max<ssize_t>(0, count)));
  for (ssize_t i = 0; i < count; ++i) messages.emplace_back(raw[static_cast<std::size_t>(i)]);
  return messages;
}

absl::Status KafkaClient::Assign(const std::vector<KafkaPosition>& positions) {
  for (const KafkaPosition& each : positions) {
    rd_kafka_queue_t* const own =
        rd_kafka_queue_get_partition(impl_->client, each.partition.topic.c_str(), each.partition.partition);
    if (own == nullptr) return absl::UnavailableError(each.partition.ToString() + " is not known");
    rd_kafka_queue_forward(own, impl_->messages);
    rd_kafka_queue_destroy(own);
  }
  List list = ListOf(positions);
  return StatusOf(rd_kafka_incremental_assign(impl_->client, list.get()));
}

absl::Status KafkaClient::Unassign(const std::vector<TopicPartition>& partitions) {
  absl::Status status = StatusOf(rd_kafka_incremental_unassign(impl_->client, ListOf(partitions).get()));
  // The group waits for an answer, whatever it is.
  if (!status.ok()) rd_kafka_assign(impl_->client, nullptr);
  return status;
}

absl::Status KafkaClient::Commit(const std::vector<KafkaPosition>& positions) {
  return StatusOf(rd_kafka_commit(impl_->client, ListOf(positions).get(), 1));
}

absl::StatusOr<std::vector<KafkaPosition>> KafkaClient::Committed(
    const std::vector<TopicPartition>& partitions, Milliseconds within) {
  const List list = ListOf(partitions);
  absl::Status status =
      StatusOf(rd_kafka_committed(impl_->client, list.get(), static_cast<int>(within.count())));
  if (status.ok()) status = FirstFailure(list.get());
  if (!status.ok()) return status;
  std::vector<KafkaPosition> positions;
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& each = list->elems[i];
    KafkaPosition position{{each.topic, each.partition}, std::max<std::int64_t>(-1, each.offset), {}};
    if (each.metadata != nullptr)
      position.note.assign(static_cast<const char*>(each.metadata), each.metadata_size);
    positions.push_back(std::move(position));
  }
  return positions;
}

absl::StatusOr<std::map<TopicPartition, std::int64_t>> KafkaClient::Offsets(
    const std::vector<TopicPartition>& partitions, Edge edge, Milliseconds within) {
  std::map<TopicPartition, std::int64_t> offsets;
  if (partitions.empty()) return offsets;
  // To the server these two are times like others.
  const List list = ListOf(partitions, edge == Edge::kEnd ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING);
  absl::Status status =
      StatusOf(rd_kafka_offsets_for_times(impl_->client, list.get(), static_cast<int>(within.count())));
  if (status.ok()) status = FirstFailure(list.get());
  if (!status.ok()) return status;
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& each = list->elems[i];
    if (each.offset < 0) return absl::UnavailableError("the broker does not say where a partition ends");
    offsets[{each.topic, each.partition}] = each.offset;
  }
  return offsets;
}

absl::StatusOr<std::vector<TopicPartition>> KafkaClient::Partitions(Milliseconds within) {
  std::vector<TopicPartition> partitions;
  const auto deadline = std::chrono::steady_clock::now() + within;
  for (const auto& [name, topic] : impl_->topics) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now());
    const rd_kafka_metadata_t* metadata = nullptr;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(
        impl_->client, 0, topic, &metadata, static_cast<int>(std::max<std::int64_t>(1, left.count())));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return StatusOf(code);
    absl::Status status;
    for (int i = 0; i < metadata->topic_cnt; ++i) {
      const rd_kafka_metadata_topic_t& each = metadata->topics[i];
      status.Update(base::WithContext(StatusOf(each.err), fmt::format("topic {}", name)));
      for (int p = 0; p < each.partition_cnt; ++p) partitions.push_back({name, each.partitions[p].id});
    }
    rd_kafka_metadata_destroy(metadata);
    if (!status.ok()) return status;
  }
  return partitions;
}

void KafkaClient::Close(std::chrono::steady_clock::time_point deadline) {
  // All that is still to be heard comes here, as events.
  rd_kafka_queue_t* const last = rd_kafka_queue_new(impl_->client);
  if (StatusOf(rd_kafka_consumer_close_queue(impl_->client, last)).ok()) {
    while (rd_kafka_consumer_closed(impl_->client) == 0 && std::chrono::steady_clock::now() < deadline) {
      rd_kafka_event_t* const event = rd_kafka_queue_poll(last, kServeMs);
      if (event == nullptr) continue;
      if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) {
        Impl::OnRebalance(impl_->client, rd_kafka_event_error(event),
                          rd_kafka_event_topic_partition_list(event), impl_.get());
      }
      rd_kafka_event_destroy(event);
    }
  }
  rd_kafka_queue_destroy(last);
}

}  // namespace mayfly::gateway
