// A Kafka broker under a test, and a client of it: makes topics, publishes, and says what groups have committed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/servers/server_process.h"

namespace mayfly::testing {

class KafkaTestServer {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;
  using Settings = std::map<std::string, std::string>;  // of librdkafka

  // With `properties` in its configuration, formatted with `users` (--add-scram …); the test's own client comes with `client`.
  explicit KafkaTestServer(const std::string& properties = "", std::vector<std::string> users = {},
                           Settings client = {});
  ~KafkaTestServer();

  // Returns once it answers.
  void Start();
  ServerProcess& process() { return server_; }
  std::string broker() const;

  void MakeTopic(const std::string& name, int partitions = 1, const Settings& settings = {});
  void DeleteTopic(const std::string& name);
  // Makes it have so many.
  void AddPartitions(const std::string& name, int partitions);
  // Returns once the broker has it; the key decides on the partition if that is -1.
  void Publish(const std::string& topic, const std::string& key, const std::string& body,
               const Headers& headers = {}, int partition = -1);
  // Several, in one transaction, which is given up if `commit` is false.
  void PublishTogether(const std::string& topic, const std::vector<std::string>& bodies, bool commit);
  // Without a key.
  void PublishKeyless(const std::string& topic, const std::string& body);
  // -1: nothing.
  std::int64_t Committed(const std::string& group, const std::string& topic, int partition = 0);

 private:
  struct Client;

  // Of the broker that runs now.
  Client& Producer();
  void AwaitPartitions(const std::string& name, int partitions);

  ServerProcess server_;
  const Settings settings_;
  std::unique_ptr<Client> producer_;
};

}  // namespace mayfly::testing
