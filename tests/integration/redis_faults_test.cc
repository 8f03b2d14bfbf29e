// The faults of sources with a real Redis.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "tests/integration/source_faults.h"
#include "tests/servers/redis_test_server.h"

namespace mayfly::testing {
namespace {

class RedisFaultsRig {
 public:
  static constexpr char kKind[] = "redis";
  static constexpr char kRevoked[] = "WRONGPASS";
  static constexpr char kUser[] = "ada";
  static constexpr char kPassword[] = "first-pa55word";
  static constexpr std::chrono::seconds kLease{2};
  static constexpr bool kServerForgets = false;
  static constexpr bool kKeepsPlace = true;

  RedisFaultsRig() : server_(absl::StrCat("user ada on >", kPassword, " ~* &* +@all\n")) {
    server_.Run({"XGROUP", "CREATE", "orders", kGroup, "0", "MKSTREAM"});
  }
  std::string Trigger() const {
    return absl::StrCat("redis: {server: '", server_.address(),
                        "', streams: [orders], claimIdle: 2s, credentials: {secretName: login}}");
  }
  // It begins with the first there ever was.
  static bool Ready() { return true; }
  void Publish(int count) {
    for (int i = 0; i < count; ++i) {
      server_.Add("orders", {{"data", absl::StrCat("o", published_)}});
      ++published_;
    }
  }
  static bool IsNumber(std::string_view body, int number) { return body == absl::StrCat("o", number); }
  int Acknowledged() {
    const gateway::RedisReply lag = server_.GroupInfo("orders", kGroup, "lag");
    const std::int64_t left = lag.is_integer() ? lag.integer : published_;
    return published_ - static_cast<int>(left) - static_cast<int>(server_.Pending("orders", kGroup));
  }
  void Kill() { server_.process().Kill(); }
  void Start() { server_.StartAgain(); }
  void ChangePassword(const std::string& password) {
    server_.Run({"ACL", "SETUSER", "ada", "resetpass", ">" + password});
    server_.Run({"CLIENT", "KILL", "USER", "ada"});
  }

 private:
  static constexpr char kGroup[] = "mayfly_default_orders_queue";

  RedisTestServer server_;
  int published_ = 0;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Redis, SourceFaultsTest, RedisFaultsRig);

}  // namespace
}  // namespace mayfly::testing
