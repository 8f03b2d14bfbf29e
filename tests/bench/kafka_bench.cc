// What to hold triggers of Kafka against, and what fills a topic for it.
//
//   kafka_bench fill  BROKER TOPIC COUNT BYTES   makes the topic with COUNT records in four partitions
//   kafka_bench plain BROKER TOPIC COUNT         reads them one by one and commits, as a program in C with librdkafka does
//   kafka_bench each  BROKER TOPIC COUNT         likewise, with a commit for each record
//   kafka_bench watch BROKER TOPIC COUNT GROUP   how fast the group commits them, from its first commit on
//
// prints: figure NAME VALUE UNIT
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Settings = std::vector<std::pair<std::string, std::string>>;

constexpr int kPartitions = 4;
constexpr auto kPatience = std::chrono::seconds(240);

void Must(bool good, const std::string& what) {
  if (good) return;
  std::fprintf(stderr, "kafka_bench: %s\n", what.c_str());
  std::exit(1);
}

void Must(rd_kafka_resp_err_t code, const char* what) {
  Must(code == RD_KAFKA_RESP_ERR_NO_ERROR, std::string(what) + ": " + rd_kafka_err2str(code));
}

double Since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

rd_kafka_t* Client(rd_kafka_type_t type, const char* broker, const Settings& settings) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char error[512] = "";
  Must(rd_kafka_conf_set(conf, "bootstrap.servers", broker, error, sizeof error) == RD_KAFKA_CONF_OK, error);
  for (const auto& [name, value] : settings)
    Must(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error) == RD_KAFKA_CONF_OK,
         error);
  rd_kafka_t* const client = rd_kafka_new(type, conf, error, sizeof error);
  Must(client != nullptr, error);
  return client;
}

void Fill(const char* broker, const char* topic, int count, int bytes) {
  rd_kafka_t* const client =
      Client(RD_KAFKA_PRODUCER, broker, {{"linger.ms", "20"}, {"queue.buffering.max.messages", "1000000"}});
  rd_kafka_NewTopic_t* made = rd_kafka_NewTopic_new(topic, kPartitions, 1, nullptr, 0);
  rd_kafka_queue_t* const queue = rd_kafka_queue_new(client);
  rd_kafka_CreateTopics(client, &made, 1, nullptr, queue);
  rd_kafka_event_t* const event = rd_kafka_queue_poll(queue, 20'000);
  Must(event != nullptr, "no answer to CreateTopics");
  Must(rd_kafka_event_error(event), "CreateTopics");
  rd_kafka_event_destroy(event);
  std::string body(static_cast<std::size_t>(bytes), 'x');
  for (int i = 0; i < count; ++i) {
    const std::string key = "k" + std::to_string(i % 1'000);
    rd_kafka_resp_err_t sent{};
    do {
      sent =
          rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(i % kPartitions),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data(), key.size()),
                            RD_KAFKA_V_VALUE(body.data(), body.size()), RD_KAFKA_V_END);
      rd_kafka_poll(client, sent == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 10 : 0);
    } while (sent == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    Must(sent, "produce");
  }
  Must(rd_kafka_flush(client, 60'000), "flush");
}

void Plain(const char* broker, const char* topic, int count, bool each) {
  Settings settings = {{"group.id", std::string("plain-") + topic + (each ? "-each" : "")},
                       {"auto.offset.reset", "earliest"},
                       {"enable.auto.offset.store", "false"},
                       {"auto.commit.interval.ms", "100"}};
  if (each) settings.emplace_back("enable.auto.commit", "false");
  rd_kafka_t* const client = Client(RD_KAFKA_CONSUMER, broker, settings);
  rd_kafka_poll_set_consumer(client);
  rd_kafka_topic_partition_list_t* const topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
  Must(rd_kafka_subscribe(client, topics), "subscribe");
  int taken = 0;
  Clock::time_point begin{};
  const Clock::time_point until = Clock::now() + kPatience;
  while (taken < count && Clock::now() < until) {
    rd_kafka_message_t* const message = rd_kafka_consumer_poll(client, 1'000);
    if (message == nullptr) continue;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (taken++ == 0) begin = Clock::now();
      if (each) {
        Must(rd_kafka_commit_message(client, message, 1), "commit");
      } else {
        Must(rd_kafka_offset_store(message->rkt, message->partition, message->offset), "store");
      }
    }
    rd_kafka_message_destroy(message);
  }
  Must(taken == count, std::to_string(taken) + " came in time");
  Must(rd_kafka_consumer_close(client), "close");  // commits
  std::printf("figure plain_events_per_s %.0f 1/s\n", count / Since(begin));
}

void Watch(const char* broker, const char* topic, int count, const char* group) {
  rd_kafka_t* const client = Client(RD_KAFKA_CONSUMER, broker, {{"group.id", group}});
  rd_kafka_topic_partition_list_t* const list = rd_kafka_topic_partition_list_new(kPartitions);
  for (int i = 0; i < kPartitions; ++i) rd_kafka_topic_partition_list_add(list, topic, i);
  std::int64_t first = 0;
  Clock::time_point begin{};
  const Clock::time_point until = Clock::now() + kPatience;
  while (Clock::now() < until) {
    std::int64_t committed = 0;
    if (rd_kafka_committed(client, list, 5'000) == RD_KAFKA_RESP_ERR_NO_ERROR)
      for (int i = 0; i < kPartitions; ++i) committed += std::max<std::int64_t>(0, list->elems[i].offset);
    if (committed > 0 && first == 0) {
      first = committed;
      begin = Clock::now();
    }
    if (committed >= count) {
      std::printf("figure events_per_s %.0f 1/s\n", static_cast<double>(count - first) / Since(begin));
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  Must(false, "not all were committed in time");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 4 ? argv[1] : "";
  if (what == "fill" && argc > 5) {
    Fill(argv[2], argv[3], std::atoi(argv[4]), std::atoi(argv[5]));
  } else if (what == "plain" || what == "each") {
    Plain(argv[2], argv[3], std::atoi(argv[4]), what == "each");
  } else if (what == "watch" && argc > 5) {
    Watch(argv[2], argv[3], std::atoi(argv[4]), argv[5]);
  } else {
    std::fprintf(stderr, "kafka_bench fill|plain|each|watch BROKER TOPIC COUNT [BYTES|GROUP]\n");
    return 2;
  }
  std::fflush(stdout);
  std::_Exit(0);
}
