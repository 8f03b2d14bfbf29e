#include "operator/control/control_server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "mayfly/v1/control.grpc.pb.h"

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

v1::RouteUpdate Routes(std::uint64_t version, std::vector<std::string> upsert,
                       std::vector<std::string> remove = {}) {
  v1::RouteUpdate update;
  update.set_version(version);
  update.set_epoch(3);
  for (const std::string& function : upsert) update.add_upsert()->set_function(function);
  for (const std::string& function : remove) update.add_remove(function);
  return update;
}

class ControlServerTest : public testing::Test {
 protected:
  ControlServerTest() {
    auto server = ControlServer::Start({.address = "127.0.0.1:0", .credentials = nullptr, .most_gateways = 4},
                                       clock_, metrics_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->OnReport([this](const v1::GatewayReport& report) {
      const std::lock_guard lock(mutex_);
      reports_.push_back(report);
      changed_.notify_all();
    });
  }

  // A gateway that reads when it is told to.
  struct Gateway {
    Gateway(const std::string& address, const std::string& name, std::uint64_t probe = 0)
        : stub(v1::Control::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
      context.set_deadline(std::chrono::system_clock::now() + 20s);
      stream = stub->Connect(&context);
      report.set_gateway(name);
      report.set_lease_probe(probe);
      stream->Write(report);
    }
    ~Gateway() { context.TryCancel(); }
    v1::RouteUpdate Read() {
      v1::RouteUpdate update;
      EXPECT_TRUE(stream->Read(&update));
      return update;
    }
    std::unique_ptr<v1::Control::Stub> stub;
    grpc::ClientContext context;
    v1::GatewayReport report;
    std::unique_ptr<grpc::ClientReaderWriter<v1::GatewayReport, v1::RouteUpdate>> stream;
  };

  bool WaitForReport(const std::function<bool(const v1::GatewayReport&)>& what) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] { return std::any_of(reports_.begin(), reports_.end(), what); });
  }
  bool Leaves(const std::string& name) {
    return WaitForReport(
        [&](const v1::GatewayReport& report) { return report.gateway() == name && report.leaving(); });
  }

  base::FakeClock clock_;
  base::Metrics metrics_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<v1::GatewayReport> reports_;
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlServerTest, SendsNothingBeforeAllIsKnown) {
  Gateway gateway(server_->address(), "gw-1");
  server_->Publish(Routes(1, {"a"}));
  server_->Publish(Routes(2, {"b"}));
  ASSERT_TRUE(WaitForReport([](const v1::GatewayReport&) { return true; }));
  server_->Publish(Routes(3, {"c"}, {"a"}));
  server_->Open();
  const v1::RouteUpdate update = gateway.Read();
  EXPECT_TRUE(update.snapshot());
  EXPECT_EQ(update.version(), 3u);
  EXPECT_EQ(update.epoch(), 3u);
  EXPECT_EQ(update.upsert_size(), 2);
  EXPECT_EQ(update.remove_size(), 0);
}

TEST_F(ControlServerTest, AnswersAGatewayThatAsksForATermBeforeItSendsAnything) {
  server_->Publish(Routes(1, {"a"}));
  server_->Open();
  Gateway gateway(server_->address(), "gw-1", 7);
  ASSERT_TRUE(WaitForReport([](const v1::GatewayReport& report) { return report.lease_probe() == 7; }));
  // What it has by leases goes into the routes first.
  server_->Publish(Routes(2, {"b"}));
  v1::LeaseTerm term;
  term.set_probe(7);
  term.set_valid_ms(100);
  server_->Answer("gw-1", 3, term);
  const v1::RouteUpdate update = gateway.Read();
  EXPECT_TRUE(update.snapshot());
  EXPECT_EQ(update.version(), 2u);
  EXPECT_EQ(update.upsert_size(), 2);
  EXPECT_EQ(update.lease().probe(), 7u);
}

TEST_F(ControlServerTest, AnswersWithATermAloneBeforeRoutesAreKnown) {
  server_->Publish(Routes(1, {"a"}));
  Gateway gateway(server_->address(), "gw-1", 7);
  ASSERT_TRUE(WaitForReport([](const v1::GatewayReport& report) { return report.lease_probe() == 7; }));
  v1::LeaseTerm term;
  term.set_probe(7);
  server_->Answer("gw-1", 3, term);
  server_->Answer("nobody", 3, term);
  const v1::RouteUpdate alone = gateway.Read();
  EXPECT_EQ(alone.lease().probe(), 7u);
  EXPECT_EQ(alone.epoch(), 3u);
  EXPECT_EQ(alone.version(), 0u) << "it says nothing of routes";
  EXPECT_FALSE(alone.snapshot());
  server_->Open();
  EXPECT_TRUE(gateway.Read().snapshot());
}

TEST_F(ControlServerTest, SendsWhatChangedSince) {
  server_->Publish(Routes(1, {"a"}));
  server_->Open();
  Gateway gateway(server_->address(), "gw-1");
  EXPECT_TRUE(gateway.Read().snapshot());
  server_->Publish(Routes(2, {"b"}, {"a"}));
  const v1::RouteUpdate update = gateway.Read();
  EXPECT_FALSE(update.snapshot());
  EXPECT_EQ(update.version(), 2u);
  ASSERT_EQ(update.upsert_size(), 1);
  EXPECT_EQ(update.upsert(0).function(), "b");
  ASSERT_EQ(update.remove_size(), 1);
  EXPECT_EQ(update.remove(0), "a");
}

TEST_F(ControlServerTest, SaysWhatStandsByAtFirstAndWhenThatChanges) {
  const auto standby = [](std::uint64_t version, const std::string& address) {
    v1::RouteUpdate update = Routes(version, {});
    if (update.mutable_standby(); !address.empty())
      update.mutable_standby()->add_replicas()->set_address(address);
    return update;
  };
  server_->Publish(standby(1, "ipv4:10.0.0.7:9000"));
  server_->Open();
  Gateway gateway(server_->address(), "gw-1");
  v1::RouteUpdate update = gateway.Read();
  EXPECT_TRUE(update.snapshot());
  ASSERT_EQ(update.standby().replicas_size(), 1);
  EXPECT_EQ(update.standby().replicas(0).address(), "ipv4:10.0.0.7:9000");
  server_->Publish(Routes(2, {"a"}));
  EXPECT_FALSE(gateway.Read().has_standby()) << "it is as it was";
  server_->Publish(standby(3, ""));
  update = gateway.Read();
  EXPECT_TRUE(update.has_standby());
  EXPECT_EQ(update.standby().replicas_size(), 0);
  EXPECT_EQ(update.version(), 3u);
}

TEST_F(ControlServerTest, MergesForAGatewayThatReadsSlowlyAndMissesNothing) {
  server_->Open();
  server_->Publish(Routes(1, {"f0"}));
  Gateway gateway(server_->address(), "gw-1");
  EXPECT_TRUE(gateway.Read().snapshot());
  constexpr std::uint64_t kLast = 20'000;
  for (std::uint64_t version = 2; version <= kLast; ++version) {
    server_->Publish(Routes(version, {"f" + std::to_string(version % 100)}));
  }
  std::uint64_t before = 1;
  int updates = 0;
  while (before < kLast) {
    const v1::RouteUpdate update = gateway.Read();
    ASSERT_GT(update.version(), before);
    ASSERT_LE(update.upsert_size(), 100);
    before = update.version();
    ++updates;
  }
  EXPECT_LT(updates, static_cast<int>(kLast));
}

TEST_F(ControlServerTest, HandsReportsOfAllGatewaysIn) {
  Gateway first(server_->address(), "gw-1");
  Gateway second(server_->address(), "gw-2");
  for (const char* const name : {"gw-1", "gw-2"}) {
    EXPECT_TRUE(WaitForReport([&](const v1::GatewayReport& report) { return report.gateway() == name; }));
  }
}

TEST_F(ControlServerTest, ForgetsAGatewayThatDoesNotComeBack) {
  {
    Gateway gateway(server_->address(), "gw-1");
    ASSERT_TRUE(WaitForReport([](const v1::GatewayReport&) { return true; }));
  }
  // Its end is noticed some time after its destructor; then it has half a minute.
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (metrics_.Text().find("mayfly_operator_gateways 0") == std::string::npos) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
  clock_.Advance(29s);
  {
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(
        std::none_of(reports_.begin(), reports_.end(), [](auto& report) { return report.leaving(); }));
  }
  clock_.Advance(2s);
  EXPECT_TRUE(Leaves("gw-1"));
}

TEST_F(ControlServerTest, LetsTheNewerOfTwoStreamsOfOneGatewayStay) {
  Gateway first(server_->address(), "gw-1");
  ASSERT_TRUE(WaitForReport([](const v1::GatewayReport&) { return true; }));
  Gateway second(server_->address(), "gw-1");
  v1::RouteUpdate update;
  EXPECT_FALSE(first.stream->Read(&update));
  EXPECT_EQ(first.stream->Finish().error_code(), grpc::StatusCode::ABORTED);
  server_->Publish(Routes(1, {"a"}));
  server_->Open();
  EXPECT_EQ(second.Read().upsert_size(), 1);
}

TEST_F(ControlServerTest, RefusesReportsWithoutANameAndGatewaysBeyondTheMost) {
  Gateway nameless(server_->address(), "");
  v1::RouteUpdate update;
  EXPECT_FALSE(nameless.stream->Read(&update));
  EXPECT_EQ(nameless.stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  std::vector<std::unique_ptr<Gateway>> gateways;
  for (int i = 0; i < 4; ++i) {
    const std::string name = "gw-" + std::to_string(i);
    gateways.push_back(std::make_unique<Gateway>(server_->address(), name));
    ASSERT_TRUE(WaitForReport([&](const v1::GatewayReport& report) { return report.gateway() == name; }));
  }
  Gateway beyond(server_->address(), "gw-5");
  EXPECT_FALSE(beyond.stream->Read(&update));
  EXPECT_EQ(beyond.stream->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(ControlServer, SaysWhyItCannotListen) {
  base::RealClock clock;
  base::Metrics metrics;
  const auto server =
      ControlServer::Start({.address = "203.0.113.1:1", .credentials = nullptr}, clock, metrics);
  ASSERT_FALSE(server.ok());
  EXPECT_THAT(std::string(server.status().message()), testing::HasSubstr("203.0.113.1:1"));
}

}  // namespace
}  // namespace mayfly::op
