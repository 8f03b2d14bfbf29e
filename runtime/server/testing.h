// What the server's tests share: a runtime with a fake pool, listening on a Unix socket in a folder of its
// own.
#pragma once

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/testing/temp_dir.h"
#include "mayfly/v1/runtime.grpc.pb.h"
#include "runtime/server/fake_pool.h"
#include "runtime/server/replica.h"
#include "runtime/server/runtime_server.h"

namespace mayfly::runtime {

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    // The test program stands for the worker, whose libraries the module may use.
    auto store = ModuleStore::Open(folder_ / "modules", "/proc/self/exe");
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    replica_ = std::make_unique<Replica>(Replica::Options{"1.2.3", "/proc/self/exe"}, world_.Factory(),
                                         *store_, metrics_);
    auto server = RuntimeServer::Start("unix:" + folder_ / "socket", *replica_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
    stub_ = v1::Runtime::NewStub(channel_);
  }
  ~ServerTest() override {
    server_.reset();
    replica_.reset();
  }

  static v1::LoadRequest LoadOf(const std::string& revision, std::uint32_t slots = 4,
                                std::uint64_t epoch = 1) {
    v1::LoadRequest request;
    request.set_epoch(epoch);
    request.set_function("default/hello");
    request.set_revision(revision);
    request.set_path(LOADER_TEST_DIR "/good.so");
    request.set_concurrency(slots);
    return request;
  }
  grpc::Status Load(const v1::LoadRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(Soon());
    load_reply_.Clear();
    return stub_->Load(&context, request, &load_reply_);
  }
  static std::chrono::system_clock::time_point Soon() {
    return std::chrono::system_clock::now() + std::chrono::seconds(20);
  }

  base::TempDir folder_;
  base::Metrics metrics_;
  FakeWorld world_;
  std::unique_ptr<ModuleStore> store_;
  std::unique_ptr<Replica> replica_;
  std::unique_ptr<RuntimeServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Runtime::Stub> stub_;
  v1::LoadReply load_reply_;
};

}  // namespace mayfly::runtime
