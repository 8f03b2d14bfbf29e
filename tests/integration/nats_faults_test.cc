// The faults of sources with a real NATS.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "tests/integration/source_faults.h"
#include "tests/servers/nats_test_server.h"

namespace mayfly::testing {
namespace {

std::string Users(const std::string& password) {
  return absl::StrCat("authorization { users: [ {user: test, password: test}, {user: ada, password: \"",
                      password, "\"} ] }\n");
}

class NatsFaultsRig {
 public:
  static constexpr char kKind[] = "nats";
  static constexpr char kRevoked[] = "Authorization Violation";
  static constexpr char kUser[] = "ada";
  static constexpr char kPassword[] = "first-pa55word";
  static constexpr std::chrono::seconds kLease{2};
  // It writes down what its consumers have acknowledged some time later.
  static constexpr bool kServerForgets = true;
  static constexpr bool kKeepsPlace = true;

  NatsFaultsRig() : server_(Users(kPassword)) {
    server_.SetUser("test", "test");
    server_.MakeStream("ORDERS", "orders.>");
  }
  std::string Trigger() const {
    return absl::StrCat("nats: {servers: ['", server_.url(),
                        "'], stream: ORDERS, ackWait: 2s, credentials: {secretName: login}}");
  }
  // It begins with the first there ever was.
  static bool Ready() { return true; }
  void Publish(int count) {
    for (int i = 0; i < count; ++i) server_.Publish("orders.new", absl::StrCat("o", published_++));
  }
  static bool IsNumber(std::string_view body, int number) { return body == absl::StrCat("o", number); }
  int Acknowledged() {
    const auto info = nlohmann::json::parse(
        server_.Ask("$JS.API.CONSUMER.INFO.ORDERS.mayfly_default_orders_queue", ""), nullptr, false);
    return published_ - info.value("num_pending", published_) - info.value("num_ack_pending", 0);
  }
  void Kill() { server_.process().Kill(); }
  void Start() { ASSERT_TRUE(server_.process().Start().ok()); }
  void ChangePassword(const std::string& password) { server_.Configure(Users(password)); }

 private:
  NatsTestServer server_;
  int published_ = 0;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Nats, SourceFaultsTest, NatsFaultsRig);

}  // namespace
}  // namespace mayfly::testing
