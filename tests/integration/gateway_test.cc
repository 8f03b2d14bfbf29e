// The whole gateway, from a client's socket to a replica's and back, with fake replicas.
#include "gateway/gateway.h"

#include <gmock/gmock.h>
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/testing/temp_dir.h"
#include "gateway/delivery/fake_replica.h"

namespace mayfly::gateway {
namespace {

using ::testing::HasSubstr;

class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() {
    GatewayOptions options;
    options.http.address = "127.0.0.1:0";
    options.http.threads = 2;
    gateway_ = std::make_unique<Gateway>(std::move(options), metrics_);
    const auto bound = gateway_->Start();
    EXPECT_TRUE(bound.ok()) << bound.status();
    url_ = "http://" + bound.value_or("");
  }
  ~GatewayTest() override {
    gateway_.reset();
    replicas_.clear();
  }

  void AddReplicas(int count, std::uint32_t slots) {
    for (int i = 0; i < count; ++i) {
      replicas_.push_back(std::make_unique<FakeReplica>(
          folder_.path() + "/" + std::to_string(replicas_.size()) + ".sock", slots));
    }
  }

  // Puts the first `count` replicas in force.
  absl::Status Route(std::size_t count, std::uint64_t epoch = 1) {
    v1::RouteUpdate update;
    update.set_epoch(epoch);
    update.set_version(++version_);
    v1::FunctionRoute& route = *update.add_upsert();
    route.set_function("test/echo");
    route.set_timeout_ms(10'000);
    v1::HttpTrigger& trigger = *route.add_http();
    trigger.set_name("api");
    trigger.set_path("/echo");
    for (std::size_t i = 0; i < count; ++i) {
      v1::Endpoint& endpoint = *route.add_endpoints();
      endpoint.set_replica("replica-" + std::to_string(i));
      endpoint.set_address(replicas_[i]->address());
      endpoint.set_slots(4);
    }
    return gateway_->Apply(update);
  }

  base::TempDir folder_;
  std::string url_;
  base::Metrics metrics_;
  std::uint64_t version_ = 0;
  std::vector<std::unique_ptr<FakeReplica>> replicas_;
  std::unique_ptr<Gateway> gateway_;
};

TEST_F(GatewayTest, AnswersAnHttpRequestWithWhatAReplicaSays) {
  AddReplicas(1, 4);
  ASSERT_TRUE(Route(1).ok());
  httplib::Client client(url_);
  const auto answer = client.Post("/echo", "hello", "text/plain");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "hello");
}

TEST_F(GatewayTest, HoldsARequestUntilAReplicaIsThere) {
  std::atomic<bool> answered{false};
  ASSERT_TRUE(Route(0).ok());
  std::jthread client([&] {
    httplib::Client http(url_);
    const auto answer = http.Post("/echo", "early", "text/plain");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    answered = true;
  });
  AddReplicas(1, 1);
  ASSERT_TRUE(Route(1).ok());
  client.join();
  EXPECT_TRUE(answered);
}

TEST_F(GatewayTest, RefusesRoutesOfAnOperatorThatLostItsLease) {
  ASSERT_TRUE(Route(0, /*epoch=*/2).ok());
  EXPECT_EQ(Route(0, /*epoch=*/1).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(GatewayTest, Answers502ForWhatALostReplicaMayHaveStarted) {
  AddReplicas(1, 1);
  replicas_[0]->Behave(FakeReplica::Behaviour::kWait);
  ASSERT_TRUE(Route(1).ok());
  std::jthread client([&] {
    httplib::Client http(url_);
    const auto answer = http.Post("/echo", "lost", "text/plain");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 502);
    EXPECT_THAT(answer->body, HasSubstr("ReplicaLost"));
  });
  ASSERT_TRUE(replicas_[0]->WaitFor([](const FakeReplica::Seen& seen) { return seen.running == 1; }));
  replicas_[0]->Kill();
}

TEST_F(GatewayTest, LosesNoRequestWhileFifteenReplicasBecomeOne) {
  constexpr int kClients = 8;
  constexpr int kAfterShrinking = 20;
  AddReplicas(15, 4);
  ASSERT_TRUE(Route(15).ok());
  std::atomic<bool> shrunk{false};
  std::atomic<int> answered{0};
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.emplace_back([&, i] {
        httplib::Client http(url_);
        http.set_keep_alive(true);
        const std::string body = "client-" + std::to_string(i);
        for (int after = 0; after < kAfterShrinking; after += shrunk ? 1 : 0) {
          const auto answer = http.Post("/echo", body, "text/plain");
          if (!answer || answer->status != 200 || answer->body != body) ++wrong;
          ++answered;
        }
      });
    }
    for (std::size_t left = 14; left >= 1; --left) {
      // Some traffic at each size, and the replica that left the route goes as the operator lets it go.
      const int target = answered + 2 * kClients;
      while (answered < target) std::this_thread::yield();
      EXPECT_TRUE(Route(left).ok());
      replicas_[left]->SetSlots(0, /*draining=*/true);
      ASSERT_TRUE(replicas_[left]->WaitFor([](const FakeReplica::Seen& seen) { return seen.running == 0; }));
      replicas_[left]->Kill();
    }
    shrunk = true;
  }
  EXPECT_EQ(wrong, 0) << "of " << answered;
}

}  // namespace
}  // namespace mayfly::gateway
