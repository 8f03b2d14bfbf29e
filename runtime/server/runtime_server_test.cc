#include "runtime/server/runtime_server.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <sys/stat.h>

#include <thread>

#include "runtime/server/testing.h"

namespace mayfly::runtime {
namespace {

using ::testing::HasSubstr;

class RuntimeServerTest : public ServerTest {
 protected:
  grpc::Status Invoke(const std::string& body) {
    invoke_context_ = std::make_unique<grpc::ClientContext>();
    invoke_context_->set_deadline(Soon());
    v1::InvokeRequest request;
    request.set_body(body);
    return stub_->Invoke(invoke_context_.get(), request, &invoke_reply_);
  }
  // Calls any method with raw bytes, as a tool without our generated code would.
  std::string Raw(const std::string& method, const std::string& request) {
    grpc::GenericStub stub(channel_);
    grpc::ClientContext context;
    context.set_deadline(Soon());
    grpc::Slice slice(request);
    grpc::ByteBuffer in(&slice, 1);
    grpc::ByteBuffer out;
    grpc::CompletionQueue queue;
    auto call = stub.PrepareUnaryCall(&context, method, in, &queue);
    grpc::Status status;
    call->StartCall();
    call->Finish(&out, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    if (!status.ok()) return "error: " + status.error_message();
    std::vector<grpc::Slice> slices;
    out.Dump(&slices);
    std::string text;
    for (const grpc::Slice& piece : slices)
      text.append(reinterpret_cast<const char*>(piece.begin()), piece.size());
    return text;
  }
  // The answer of grpc.health.v1.Health/Check: 1 SERVING, 2 NOT_SERVING.
  int Health(const std::string& service) {
    std::string request;
    if (!service.empty()) request = std::string("\x0a") + static_cast<char>(service.size()) + service;
    const std::string reply = Raw("/grpc.health.v1.Health/Check", request);
    return reply.size() == 2 && reply[0] == '\x08' ? reply[1] : -1;
  }

  std::unique_ptr<grpc::ClientContext> invoke_context_;
  v1::InvokeReply invoke_reply_;
};

TEST_F(RuntimeServerTest, OnlyItsOwnerMayConnectToItsSocket) {
  struct stat status;
  ASSERT_EQ(::stat((folder_ / "socket").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(RuntimeServerTest, ReflectionKnowsEveryServiceThatItLists) {
  for (const char* const service :
       {"mayfly.v1.Runtime", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}) {
    EXPECT_NE(google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service), nullptr)
        << service;
  }
}

TEST_F(RuntimeServerTest, LoadsAndSaysHowLongEachPhaseTook) {
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  EXPECT_FALSE(load_reply_.has_problem()) << load_reply_.problem().message();
  EXPECT_EQ(load_reply_.revision(), "r1");
  EXPECT_EQ(load_reply_.handler(), "only");
  EXPECT_TRUE(load_reply_.forks());
  EXPECT_GT(load_reply_.check_us(), 0u);
  EXPECT_EQ(load_reply_.map_us(), 10u);
  EXPECT_EQ(load_reply_.init_us(), 20u);
}

TEST_F(RuntimeServerTest, ARefusedModuleIsAReplyAndWhatWasLoadedKeepsServing) {
  world_.echo = true;
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  v1::LoadRequest bad = LoadOf("r2");
  bad.set_inline_("this is no module");
  ASSERT_TRUE(Load(bad).ok());
  EXPECT_EQ(load_reply_.problem().reason(), "NotElf");
  EXPECT_THAT(load_reply_.problem().message(), HasSubstr("it is text and begins with"));
  v1::LoadRequest broken = LoadOf("r3");
  broken.set_handler("broken");
  ASSERT_TRUE(Load(broken).ok());
  EXPECT_EQ(load_reply_.problem().reason(), "CreateFailed");
  ASSERT_TRUE(Invoke("still here").ok());
  EXPECT_EQ(invoke_reply_.body(), "still here");
  EXPECT_EQ(replica_->capacity().revision(), "r1");
}

TEST_F(RuntimeServerTest, InvokeAnswersWithTheBodyAndWhatItCost) {
  world_.echo = true;
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  ASSERT_TRUE(Invoke("hello").ok());
  EXPECT_EQ(invoke_reply_.body(), "hello");
  EXPECT_EQ(invoke_reply_.head().status(), 200u);
  EXPECT_EQ(invoke_reply_.result().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(invoke_reply_.invocation_id().size(), 32u);
  const auto& trailers = invoke_context_->GetServerTrailingMetadata();
  const auto wall = trailers.find("mayfly-wall-ms");
  ASSERT_NE(wall, trailers.end());
  EXPECT_EQ(wall->second, "1.500");
}

TEST_F(RuntimeServerTest, InvokeTellsWhyItDidNotStart) {
  EXPECT_EQ(Invoke("").error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  ASSERT_TRUE(Load(LoadOf("r1", 1)).ok());
  v1::Start start;
  start.set_invocation_id("holds the slot");
  class Nowhere final : public ResponseSink {
    void OnPart(v1::ResponsePart&&) override {}
  };
  replica_->Start(start, "", true, std::make_shared<Nowhere>());
  EXPECT_EQ(Invoke("").error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  replica_->Drain(std::chrono::steady_clock::now());
  EXPECT_EQ(Invoke("").error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(RuntimeServerTest, InvokeRefusesAResponseThatItCannotCarry) {
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  std::jthread answerer([this] {
    // The id is the server's own: take the only invocation there is.
    while (replica_->Describe().busy() == 0) std::this_thread::yield();
    const auto invocation = world_.Only();
    for (int i = 0; i < 65; ++i) {
      v1::ResponsePart part;
      part.set_data(std::string(1 << 20, 'x'));
      world_.Answer(*invocation, std::move(part));
    }
    world_.AnswerOk(*invocation, "");
  });
  ASSERT_TRUE(Invoke("").ok());
  EXPECT_EQ(invoke_reply_.result().problem().reason(), "ResponseTooLarge");
  EXPECT_TRUE(invoke_reply_.body().empty());
}

TEST_F(RuntimeServerTest, HealthFollowsTheModuleAndTheDrain) {
  EXPECT_EQ(Health(""), 1);
  EXPECT_EQ(Health("mayfly.v1.Runtime"), 2);
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  EXPECT_EQ(Health("mayfly.v1.Runtime"), 1);
  replica_->Drain(std::chrono::steady_clock::now());
  EXPECT_EQ(Health("mayfly.v1.Runtime"), 2);
  EXPECT_EQ(Health(""), 1);
}

TEST_F(RuntimeServerTest, DescribesItself) {
  ASSERT_TRUE(Load(LoadOf("r1", 3)).ok());
  grpc::ClientContext context;
  v1::DescribeReply reply;
  ASSERT_TRUE(stub_->Describe(&context, {}, &reply).ok());
  EXPECT_EQ(reply.version(), "1.2.3");
  EXPECT_EQ(reply.abi_version(), 1u);
  EXPECT_EQ(reply.function(), "default/hello");
  EXPECT_EQ(reply.revision(), "r1");
  EXPECT_EQ(reply.capacity().slots(), 3u);
  EXPECT_EQ(reply.fork_server_pid(), 42);
}

TEST_F(RuntimeServerTest, DrainWaitsForWhatRunsUpToItsDeadline) {
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  std::jthread caller([this] { EXPECT_TRUE(Invoke("x").ok()); });
  while (replica_->Describe().busy() == 0) std::this_thread::yield();
  v1::DrainReply reply;
  v1::DrainRequest request;
  request.set_epoch(1);
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->Drain(&context, request, &reply).ok());
    EXPECT_EQ(reply.remaining(), 1u);
  }
  std::jthread answerer([this] { world_.AnswerOk(*world_.Only(), ""); });
  request.set_deadline_ms(10'000);
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Drain(&context, request, &reply).ok());
  EXPECT_EQ(reply.remaining(), 0u);
}

TEST_F(RuntimeServerTest, RefusesCommandsOfAnOlderOperator) {
  ASSERT_TRUE(Load(LoadOf("r1", 4, 7)).ok());
  const grpc::Status status = Load(LoadOf("r2", 4, 6));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("another operator leads now"));
  grpc::ClientContext context;
  v1::DrainRequest drain;
  drain.set_epoch(6);
  v1::DrainReply reply;
  EXPECT_EQ(stub_->Drain(&context, drain, &reply).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(replica_->capacity().revision(), "r1");
  EXPECT_FALSE(replica_->capacity().draining());
}

TEST_F(RuntimeServerTest, SaysWhyItCannotListen) {
  const auto server = RuntimeServer::Start("unix:/nowhere/at/all/socket", *replica_);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace mayfly::runtime
