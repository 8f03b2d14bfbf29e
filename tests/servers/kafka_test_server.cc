#include "tests/servers/kafka_test_server.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <threads.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"

#if defined(__SANITIZE_THREAD__)
// The sanitizer does not know of C11's threads, which are librdkafka's, and crashes in them: they become POSIX ones.
extern "C" int thrd_create(thrd_t* thread, thrd_start_t body, void* argument) {
  auto start = std::make_unique<std::pair<thrd_start_t, void*>>(body, argument);
  const auto run = [](void* closure) -> void* {
    const std::unique_ptr<std::pair<thrd_start_t, void*>> what(
        static_cast<std::pair<thrd_start_t, void*>*>(closure));
    return reinterpret_cast<void*>(static_cast<std::intptr_t>(what->first(what->second)));
  };
  if (::pthread_create(thread, nullptr, run, start.get()) != 0) return thrd_error;
  (void)start.release();  // the thread's own
  return thrd_success;
}

extern "C" int thrd_join(thrd_t thread, int* result) {
  void* value = nullptr;
  if (::pthread_join(thread, &value) != 0) return thrd_error;
  if (result != nullptr) *result = static_cast<int>(reinterpret_cast<std::intptr_t>(value));
  return thrd_success;
}
#endif

namespace mayfly::testing {
namespace {

using namespace std::chrono_literals;

constexpr int kWithinMs = 20'000;
constexpr auto kWithin = 30s;

// Fails the test if an answer of an administrator's call is not a success.
void Expect(rd_kafka_event_t* event, const rd_kafka_topic_result_t** results, std::size_t count) {
  ASSERT_NE(event, nullptr) << "no answer in time";
  EXPECT_EQ(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_event_error_string(event);
  for (std::size_t i = 0; i < count; ++i)
    EXPECT_EQ(rd_kafka_topic_result_error(results[i]), RD_KAFKA_RESP_ERR_NO_ERROR)
        << rd_kafka_topic_result_error_string(results[i]);
}

}  // namespace

struct KafkaTestServer::Client {
  Client(rd_kafka_type_t type, const std::string& broker, Settings settings) {
    settings["bootstrap.servers"] = broker;
    settings["log_level"] = "0";
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char error[512] = "";
    for (const auto& [name, value] : settings)
      EXPECT_EQ(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error), RD_KAFKA_CONF_OK)
          << error;
    rk = rd_kafka_new(type, conf, error, sizeof error);
    EXPECT_NE(rk, nullptr) << error;
    queue = rd_kafka_queue_new(rk);
  }
  ~Client() {
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
  }
  bool Answers() const {
    const rd_kafka_metadata_t* metadata = nullptr;
    const bool answers = rd_kafka_metadata(rk, 1, nullptr, &metadata, 2'000) == RD_KAFKA_RESP_ERR_NO_ERROR &&
                         metadata->broker_cnt > 0;
    if (metadata != nullptr) rd_kafka_metadata_destroy(metadata);
    return answers;
  }
  rd_kafka_t* rk = nullptr;
  rd_kafka_queue_t* queue = nullptr;
};

KafkaTestServer::KafkaTestServer(const std::string& properties, std::vector<std::string> users,
                                 Settings client)
    : server_({.name = "kafka", .arguments = std::move(users), .patience = 60s}),
      settings_(std::move(client)) {
  base::WriteFile(server_.folder() + "/kafka.properties", properties);
  Start();
}

KafkaTestServer::~KafkaTestServer() = default;

void KafkaTestServer::Start() {
  const absl::Status started = server_.Start();
  ASSERT_TRUE(started.ok()) << started;
  EXPECT_TRUE(base::Eventually([this] { return Producer().Answers(); }, kWithin)) << server_.Log();
}

std::string KafkaTestServer::broker() const { return absl::StrCat("127.0.0.1:", server_.port()); }

KafkaTestServer::Client& KafkaTestServer::Producer() {
  if (producer_ == nullptr) {
    Settings settings = settings_;
    settings["enable.idempotence"] = "true";
    settings["linger.ms"] = "0";
    settings["reconnect.backoff.max.ms"] = "500";
    producer_ = std::make_unique<Client>(RD_KAFKA_PRODUCER, broker(), settings);
  }
  return *producer_;
}

void KafkaTestServer::MakeTopic(const std::string& name, int partitions, const Settings& settings) {
  Client& client = Producer();
  rd_kafka_NewTopic_t* topic = rd_kafka_NewTopic_new(name.c_str(), partitions, 1, nullptr, 0);
  for (const auto& [key, value] : settings) rd_kafka_NewTopic_set_config(topic, key.c_str(), value.c_str());
  rd_kafka_CreateTopics(client.rk, &topic, 1, nullptr, client.queue);
  rd_kafka_event_t* const event = rd_kafka_queue_poll(client.queue, kWithinMs);
  std::size_t count = 0;
  const auto* const result = rd_kafka_event_CreateTopics_result(event);
  const auto** topics = result == nullptr ? nullptr : rd_kafka_CreateTopics_result_topics(result, &count);
  Expect(event, topics, count);
  rd_kafka_event_destroy(event);
  rd_kafka_NewTopic_destroy(topic);
  AwaitPartitions(name, partitions);
}

void KafkaTestServer::DeleteTopic(const std::string& name) {
  Client& client = Producer();
  rd_kafka_DeleteTopic_t* topic = rd_kafka_DeleteTopic_new(name.c_str());
  rd_kafka_DeleteTopics(client.rk, &topic, 1, nullptr, client.queue);
  rd_kafka_event_t* const event = rd_kafka_queue_poll(client.queue, kWithinMs);
  std::size_t count = 0;
  const auto* const result = rd_kafka_event_DeleteTopics_result(event);
  const auto** topics = result == nullptr ? nullptr : rd_kafka_DeleteTopics_result_topics(result, &count);
  Expect(event, topics, count);
  rd_kafka_event_destroy(event);
  rd_kafka_DeleteTopic_destroy(topic);
  // Whoever published to it knows another topic of that name.
  producer_.reset();
}

void KafkaTestServer::AddPartitions(const std::string& name, int partitions) {
  Client& client = Producer();
  char error[512] = "";
  rd_kafka_NewPartitions_t* more =
      rd_kafka_NewPartitions_new(name.c_str(), static_cast<std::size_t>(partitions), error, sizeof error);
  ASSERT_NE(more, nullptr) << error;
  rd_kafka_CreatePartitions(client.rk, &more, 1, nullptr, client.queue);
  rd_kafka_event_t* const event = rd_kafka_queue_poll(client.queue, kWithinMs);
  std::size_t count = 0;
  const auto* const result = rd_kafka_event_CreatePartitions_result(event);
  const auto** topics = result == nullptr ? nullptr : rd_kafka_CreatePartitions_result_topics(result, &count);
  Expect(event, topics, count);
  rd_kafka_event_destroy(event);
  rd_kafka_NewPartitions_destroy(more);
  producer_.reset();
  AwaitPartitions(name, partitions);
}

// The broker's answer to what made them comes before its metadata has them.
void KafkaTestServer::AwaitPartitions(const std::string& name, int partitions) {
  EXPECT_TRUE(base::Eventually(
      [&] {
        rd_kafka_t* const rk = Producer().rk;
        rd_kafka_topic_t* const topic = rd_kafka_topic_new(rk, name.c_str(), nullptr);
        const struct rd_kafka_metadata* metadata = nullptr;
        const bool known =
            rd_kafka_metadata(rk, 0, topic, &metadata, kWithinMs) == RD_KAFKA_RESP_ERR_NO_ERROR &&
            metadata->topic_cnt == 1 && metadata->topics[0].partition_cnt == partitions;
        if (metadata != nullptr) rd_kafka_metadata_destroy(metadata);
        rd_kafka_topic_destroy(topic);
        return known;
      },
      kWithin))
      << name << " has no " << partitions << " partitions";
}

void KafkaTestServer::Publish(const std::string& topic, const std::string& key, const std::string& body,
                              const Headers& headers, int partition) {
  rd_kafka_t* const rk = Producer().rk;
  rd_kafka_headers_t* carried = rd_kafka_headers_new(headers.size());
  for (const auto& [name, value] : headers)
    rd_kafka_header_add(carried, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                        static_cast<ssize_t>(value.size()));
  const rd_kafka_resp_err_t sent =
      rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition),
                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data(), key.size()),
                        RD_KAFKA_V_VALUE(const_cast<char*>(body.data()), body.size()),
                        RD_KAFKA_V_HEADERS(carried), RD_KAFKA_V_END);
  ASSERT_EQ(sent, RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_err2str(sent);
  EXPECT_EQ(rd_kafka_flush(rk, kWithinMs), RD_KAFKA_RESP_ERR_NO_ERROR) << body << " is not published";
}

void KafkaTestServer::PublishKeyless(const std::string& topic, const std::string& body) {
  rd_kafka_t* const rk = Producer().rk;
  const rd_kafka_resp_err_t sent =
      rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                        RD_KAFKA_V_VALUE(const_cast<char*>(body.data()), body.size()), RD_KAFKA_V_END);
  ASSERT_EQ(sent, RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_err2str(sent);
  EXPECT_EQ(rd_kafka_flush(rk, kWithinMs), RD_KAFKA_RESP_ERR_NO_ERROR);
}

void KafkaTestServer::PublishTogether(const std::string& topic, const std::vector<std::string>& bodies,
                                      bool commit) {
  Settings settings = settings_;
  settings["transactional.id"] = "test";
  const Client client(RD_KAFKA_PRODUCER, broker(), settings);
  const auto expect = [](rd_kafka_error_t* error) {
    EXPECT_EQ(error, nullptr) << rd_kafka_error_string(error);
    rd_kafka_error_destroy(error);
  };
  expect(rd_kafka_init_transactions(client.rk, kWithinMs));
  expect(rd_kafka_begin_transaction(client.rk));
  for (const std::string& body : bodies)
    rd_kafka_producev(client.rk, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                      RD_KAFKA_V_KEY("k", 1), RD_KAFKA_V_VALUE(const_cast<char*>(body.data()), body.size()),
                      RD_KAFKA_V_END);
  EXPECT_EQ(rd_kafka_flush(client.rk, kWithinMs), RD_KAFKA_RESP_ERR_NO_ERROR);
  expect(commit ? rd_kafka_commit_transaction(client.rk, kWithinMs)
                : rd_kafka_abort_transaction(client.rk, kWithinMs));
}

std::int64_t KafkaTestServer::Committed(const std::string& group, const std::string& topic, int partition) {
  Settings settings = settings_;
  settings["group.id"] = group;
  const Client client(RD_KAFKA_CONSUMER, broker(), settings);
  rd_kafka_topic_partition_list_t* const list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic.c_str(), partition);
  const rd_kafka_resp_err_t code = rd_kafka_committed(client.rk, list, kWithinMs);
  EXPECT_EQ(code, RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_err2str(code);
  const std::int64_t offset = std::max<std::int64_t>(-1, list->elems[0].offset);
  rd_kafka_topic_partition_list_destroy(list);
  return offset;
}

}  // namespace mayfly::testing
