// The faults of sources with a real Kafka.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "tests/integration/source_faults.h"
#include "tests/servers/kafka_test_server.h"

namespace mayfly::testing {
namespace {

// A client's connection is good for two seconds: then it shows again who it is.
constexpr char kProperties[] = R"(
listener.security.protocol.map=CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,CLIENT:SASL_PLAINTEXT
listener.name.client.sasl.enabled.mechanisms=PLAIN
listener.name.client.plain.connections.max.reauth.ms=2000
)";

std::string Users(const std::string& password) {
  return absl::StrCat(kProperties,
                      "listener.name.client.plain.sasl.jaas.config="
                      "org.apache.kafka.common.security.plain.PlainLoginModule required user_test=\"test\" "
                      "user_ada=\"",
                      password, "\";\n");
}

class KafkaFaultsRig {
 public:
  static constexpr char kKind[] = "kafka";
  static constexpr char kRevoked[] = "Invalid username or password";
  static constexpr char kUser[] = "ada";
  static constexpr char kPassword[] = "first-pa55word";
  // sessionTimeout.
  static constexpr std::chrono::seconds kLease{2};
  static constexpr bool kServerForgets = false;
  static constexpr bool kKeepsPlace = true;

  KafkaFaultsRig()
      : server_(Users(kPassword), {},
                {{"security.protocol", "sasl_plaintext"},
                 {"sasl.mechanism", "PLAIN"},
                 {"sasl.username", "test"},
                 {"sasl.password", "test"}}) {
    server_.MakeTopic("orders");
  }
  std::string Trigger() const {
    return absl::StrCat(
        "kafka: {brokers: ['", server_.broker(),
        "'], topics: [orders], sessionTimeout: 2s, mechanism: PLAIN, credentials: {secretName: "
        "login}}");
  }
  // It begins with the first there ever was.
  static bool Ready() { return true; }
  void Publish(int count) {
    for (int i = 0; i < count; ++i)
      server_.Publish("orders", absl::StrCat("k", i % 5), absl::StrCat("o", published_++));
  }
  static bool IsNumber(std::string_view body, int number) { return body == absl::StrCat("o", number); }
  int Acknowledged() {
    return static_cast<int>(
        std::max<std::int64_t>(0, server_.Committed("mayfly_default_orders_queue", "orders")));
  }
  void Kill() { server_.process().Kill(); }
  void Start() { server_.Start(); }
  // The broker's file of users is read when it starts.
  void ChangePassword(const std::string& password) {
    server_.process().Stop();
    base::WriteFile(server_.process().folder() + "/kafka.properties", Users(password));
    server_.Start();
  }

 private:
  KafkaTestServer server_;
  int published_ = 0;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Kafka, SourceFaultsTest, KafkaFaultsRig);

}  // namespace
}  // namespace mayfly::testing
