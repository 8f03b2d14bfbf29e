#include "operator/control/grpc_replica_client.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "base/testing/temp_dir.h"
#include "mayfly/v1/runtime.grpc.pb.h"

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class FakeRuntime final : public v1::Runtime::Service {
 public:
  grpc::Status Load(grpc::ServerContext* context, const v1::LoadRequest* request,
                    v1::LoadReply* reply) override {
    if (request->epoch() < 5) return {grpc::StatusCode::FAILED_PRECONDITION, "epoch 5 was seen"};
    if (request->revision() == "hangs") {
      hanging.count_down();
      while (!context->IsCancelled()) std::this_thread::yield();
      return grpc::Status::CANCELLED;
    }
    reply->set_revision(request->revision());
    return grpc::Status::OK;
  }
  grpc::Status Drain(grpc::ServerContext*, const v1::DrainRequest*, v1::DrainReply* reply) override {
    reply->set_remaining(3);
    return grpc::Status::OK;
  }
  grpc::Status Describe(grpc::ServerContext*, const v1::DescribeRequest*, v1::DescribeReply* reply) override {
    reply->set_function("default/f");
    return grpc::Status::OK;
  }

  std::latch hanging{1};
};

class GrpcReplicaClientTest : public testing::Test {
 protected:
  ~GrpcReplicaClientTest() override {
    if (server_) server_->Shutdown(std::chrono::system_clock::now() + 1s);
  }
  void Serve(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&runtime_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  static v1::LoadRequest Request(const std::string& revision, std::uint64_t epoch = 5) {
    v1::LoadRequest request;
    request.set_epoch(epoch);
    request.set_revision(revision);
    return request;
  }

  base::TempDir folder_;
  const std::string address_ = "unix:" + folder_ / "r.sock";
  int port_ = 0;
  FakeRuntime runtime_;
  std::unique_ptr<grpc::Server> server_;
  GrpcReplicaClient client_{nullptr};
};

TEST_F(GrpcReplicaClientTest, CallsARuntimeOnAUnixSocket) {
  Serve(address_);
  const auto loaded = client_.Load(address_, Request("r1"), 10s);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->revision(), "r1");
  EXPECT_EQ(client_.Drain(address_, {}, 10s)->remaining(), 3u);
  EXPECT_EQ(client_.Describe(address_, 10s)->function(), "default/f");
}

TEST_F(GrpcReplicaClientTest, CallsARuntimeOverTcp) {
  Serve("127.0.0.1:0");
  EXPECT_TRUE(client_.Load("ipv4:127.0.0.1:" + std::to_string(port_), Request("r1"), 10s).ok());
}

TEST_F(GrpcReplicaClientTest, TellsThatAnEpochIsTooOld) {
  Serve(address_);
  const auto loaded = client_.Load(address_, Request("r1", 4), 10s);
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(loaded.status().message()), HasSubstr("epoch 5 was seen"));
}

TEST_F(GrpcReplicaClientTest, WaitsForARuntimeThatIsNotThereYet) {
  std::jthread late([&] {
    // The first attempt to connect has failed by the time of the second one.
    EXPECT_FALSE(client_.Drain(address_, {}, 10s).ok());
    Serve(address_);
  });
  EXPECT_TRUE(client_.Load(address_, Request("r1"), 20s).ok());
}

TEST_F(GrpcReplicaClientTest, EndsACallAtItsDeadline) {
  Serve(address_);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(absl::IsDeadlineExceeded(client_.Load(address_, Request("hangs"), 200ms).status()));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(client_.Load("unix:" + folder_ / "none", Request("r"), 200ms).status()));
}

TEST_F(GrpcReplicaClientTest, EndsTheCallsToAReplicaThatIsGone) {
  Serve(address_);
  std::jthread forgets([&] {
    runtime_.hanging.wait();
    client_.Forget(address_);
  });
  EXPECT_TRUE(absl::IsCancelled(client_.Load(address_, Request("hangs"), 60s).status()));
  EXPECT_TRUE(client_.Load(address_, Request("r1"), 10s).ok()) << "the address may come again";
}

TEST_F(GrpcReplicaClientTest, EndsEveryCallWhenItIsCancelled) {
  Serve(address_);
  std::jthread cancels([&] {
    runtime_.hanging.wait();
    client_.Cancel();
  });
  EXPECT_TRUE(absl::IsCancelled(client_.Load(address_, Request("hangs"), 60s).status()));
  EXPECT_TRUE(absl::IsCancelled(client_.Describe(address_, 10s).status()));
}

}  // namespace
}  // namespace mayfly::op
