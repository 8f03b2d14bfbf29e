#include "gateway/control/control_client.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "base/testing/temp_dir.h"
#include "mayfly/v1/control.grpc.pb.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// An operator that sends one update to each stream, and keeps what it hears.
class FakeOperator final : public v1::Control::Service {
 public:
  explicit FakeOperator(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeOperator() override { server_->Shutdown(std::chrono::system_clock::now()); }

  grpc::Status Connect(grpc::ServerContext*,
                       grpc::ServerReaderWriter<v1::RouteUpdate, v1::GatewayReport>* stream) override {
    v1::RouteUpdate update;
    update.set_epoch(epoch);
    update.set_snapshot(true);
    if (sends) stream->Write(update);
    v1::GatewayReport report;
    while (stream->Read(&report)) {
      const std::lock_guard lock(mutex_);
      reports_.push_back(report);
      changed_.notify_all();
    }
    return grpc::Status::OK;
  }

  bool WaitFor(const std::function<bool(const v1::GatewayReport&)>& what) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] { return std::any_of(reports_.begin(), reports_.end(), what); });
  }

  std::uint64_t epoch = 1;
  bool sends = true;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<v1::GatewayReport> reports_;
  std::unique_ptr<grpc::Server> server_;
};

class ControlClientTest : public testing::Test {
 protected:
  ControlClientTest() {
    client_ = std::make_unique<ControlClient>(
        ControlClientOptions{
            .gateway = "gw-1", .target = address_, .credentials = nullptr, .server_name = ""},
        [this](const v1::RouteUpdate& update) { return Apply(update); }, metrics_);
  }

  absl::Status Apply(const v1::RouteUpdate& update) {
    const std::lock_guard lock(mutex_);
    if (update.epoch() < epoch_) return absl::FailedPreconditionError("an older epoch");
    epoch_ = update.epoch();
    ++applied_;
    changed_.notify_all();
    return absl::OkStatus();
  }
  bool WaitForUpdates(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] { return applied_ >= count; });
  }
  static v1::GatewayReport Holds(const std::string& function, std::uint32_t held) {
    v1::GatewayReport report;
    v1::Demand& demand = *report.add_demand();
    demand.set_function(function);
    demand.set_held(held);
    return report;
  }
  static auto Tells(const std::string& function, std::uint32_t held) {
    return [=](const v1::GatewayReport& report) {
      for (const v1::Demand& demand : report.demand()) {
        if (report.gateway() == "gw-1" && demand.function() == function && demand.held() == held) return true;
      }
      return false;
    };
  }

  base::TempDir folder_;
  const std::string address_ = "unix:" + folder_ / "operator.sock";
  base::Metrics metrics_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t epoch_ = 0;
  int applied_ = 0;
  std::unique_ptr<ControlClient> client_;
};

TEST_F(ControlClientTest, HandsRoutesDownAndReportsUp) {
  EXPECT_THAT(client_->NotReadyReason(), HasSubstr("no routes"));
  FakeOperator op(address_);
  client_->Start();
  ASSERT_TRUE(WaitForUpdates(1));
  client_->Report(Holds("f", 3));
  EXPECT_TRUE(op.WaitFor(Tells("f", 3)));
  EXPECT_EQ(client_->NotReadyReason(), "");
}

TEST_F(ControlClientTest, WaitsForAnOperatorAndTellsItWhatItHasMissed) {
  client_->Start();
  client_->Report(Holds("f", 3));
  client_->Report(Holds("f", 5));
  FakeOperator op(address_);
  EXPECT_TRUE(op.WaitFor(Tells("f", 5)));
}

TEST_F(ControlClientTest, TellsANewOperatorTheDemandThatTheOldOneKnew) {
  auto first = std::make_unique<FakeOperator>(address_);
  client_->Start();
  client_->Report(Holds("f", 3));
  ASSERT_TRUE(first->WaitFor(Tells("f", 3)));
  first.reset();
  FakeOperator second(address_);
  EXPECT_TRUE(second.WaitFor(Tells("f", 3)));
  EXPECT_TRUE(WaitForUpdates(2));
}

TEST_F(ControlClientTest, LeavesAnOperatorWhoseRoutesAreRefused) {
  {
    FakeOperator newer(address_);
    newer.epoch = 7;
    client_->Start();
    ASSERT_TRUE(WaitForUpdates(1));
  }
  FakeOperator older(address_);
  older.epoch = 6;
  client_->Report(Holds("f", 1));
  EXPECT_TRUE(older.WaitFor(Tells("f", 1)));  // it was dialled
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(epoch_, 7u);
}

TEST_F(ControlClientTest, SaysGoodbye) {
  FakeOperator op(address_);
  client_->Start();
  ASSERT_TRUE(WaitForUpdates(1));
  client_->Stop();
  EXPECT_TRUE(op.WaitFor([](const v1::GatewayReport& report) { return report.leaving(); }));
}

TEST_F(ControlClientTest, StopsAtOnceWhileItDialsInVain) {
  client_->Start();
  const auto begin = std::chrono::steady_clock::now();
  client_->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
}

}  // namespace
}  // namespace mayfly::gateway
