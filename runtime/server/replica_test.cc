#include "runtime/server/replica.h"

#include <gmock/gmock.h>

#include "runtime/server/testing.h"

namespace mayfly::runtime {
namespace {

class Collector final : public ResponseSink {
 public:
  void OnPart(v1::ResponsePart&& part) override { last = std::move(part); }
  v1::ResponsePart last;
};

class ReplicaTest : public ServerTest {
 protected:
  std::shared_ptr<PoolCall> Start(const std::string& id) {
    v1::Start start;
    start.set_invocation_id(id);
    return replica_->Start(start, "", true, sink_);
  }
  std::shared_ptr<Collector> sink_ = std::make_shared<Collector>();
};

TEST_F(ReplicaTest, LoadingTheSameRevisionAgainChangesNothing) {
  v1::LoadReply first;
  ASSERT_TRUE(replica_->Load(LoadOf("r1"), first).ok());
  v1::LoadReply second;
  ASSERT_TRUE(replica_->Load(LoadOf("r1", 9), second).ok());
  EXPECT_EQ(second.check_us(), first.check_us());
  EXPECT_EQ(replica_->capacity().slots(), 4u);
  EXPECT_EQ(world_.pools(), 1);
}

TEST_F(ReplicaTest, TheOldRevisionFinishesWhatItHasAndIsGoneThen) {
  v1::LoadReply reply;
  ASSERT_TRUE(replica_->Load(LoadOf("r1"), reply).ok());
  Start("old");
  ASSERT_TRUE(replica_->Load(LoadOf("r2"), reply).ok());
  Start("new");
  EXPECT_EQ(world_.Await("old")->revision, "r1");
  EXPECT_EQ(world_.Await("new")->revision, "r2");
  EXPECT_EQ(world_.pools(), 2);
  EXPECT_FALSE(world_.Await("old")->ended);
  world_.AnswerOk(*world_.Await("old"), "");
  EXPECT_EQ(sink_->last.result().outcome(), v1::OUTCOME_OK);
  EXPECT_TRUE(world_.AwaitPools(1));
}

TEST_F(ReplicaTest, BoundsHowManyOldRevisionsFinishAtOnce) {
  v1::LoadReply reply;
  absl::Status status;
  int loads = 0;
  for (; loads < 20 && status.ok(); ++loads) {
    status = replica_->Load(LoadOf("r" + std::to_string(loads)), reply);
    Start("i" + std::to_string(loads));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(world_.pools(), 5);
}

TEST_F(ReplicaTest, DrainCountsWhatOldRevisionsStillRun) {
  v1::LoadReply reply;
  ASSERT_TRUE(replica_->Load(LoadOf("r1"), reply).ok());
  Start("old");
  ASSERT_TRUE(replica_->Load(LoadOf("r2"), reply).ok());
  Start("new");
  EXPECT_EQ(replica_->Drain(std::chrono::steady_clock::now()), 2u);
  EXPECT_EQ(replica_->NotReadyReason(), "draining");
  EXPECT_EQ(replica_->Load(LoadOf("r3"), reply).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ReplicaTest, ItsEndDoesNotWaitForInvocations) {
  v1::LoadReply reply;
  ASSERT_TRUE(replica_->Load(LoadOf("r1"), reply).ok());
  Start("old");
  ASSERT_TRUE(replica_->Load(LoadOf("r2"), reply).ok());
  Start("new");
  server_.reset();
  replica_.reset();
  EXPECT_TRUE(world_.Await("old")->cancelled);
  EXPECT_TRUE(world_.Await("new")->cancelled);
}

TEST_F(ReplicaTest, RefusesLimitsFromWhichSizesWouldOverflow) {
  v1::LoadReply reply;
  for (const std::uint64_t bytes : {UINT64_MAX, UINT64_MAX - 4096, (std::uint64_t{1} << 30) + 1}) {
    v1::LoadRequest request = LoadOf("r1");
    request.mutable_limits()->set_max_request_bytes(bytes);
    const absl::Status status = replica_->Load(request, reply);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("max_request_bytes"));
  }
  v1::LoadRequest request = LoadOf("r1");
  request.mutable_limits()->set_worker_memory_bytes(UINT64_MAX);
  EXPECT_EQ(replica_->Load(request, reply).code(), absl::StatusCode::kInvalidArgument);
  for (const std::uint32_t slots : {UINT32_MAX, 1'001u}) {
    EXPECT_EQ(replica_->Load(LoadOf("r1", slots), reply).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(world_.pools(), 0);
  EXPECT_TRUE(replica_->Load(LoadOf("r1", 1'000), reply).ok());
}

TEST_F(ReplicaTest, LoadsNoOtherFunctionsModuleOnceCodeMayHaveRun) {
  v1::LoadReply reply;
  EXPECT_EQ(replica_->Describe().function(), "");
  v1::LoadRequest broken = LoadOf("r1");
  broken.set_handler("broken");  // its create() fails
  ASSERT_TRUE(replica_->Load(broken, reply).ok());
  EXPECT_TRUE(reply.has_problem());
  EXPECT_TRUE(reply.bound());
  EXPECT_EQ(replica_->Describe().function(), "default/hello") << "an operator must see it";
  v1::LoadRequest other = LoadOf("r2");
  other.set_function("default/other");
  v1::LoadReply refused;
  EXPECT_EQ(replica_->Load(other, refused).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(world_.pools(), 0);
  EXPECT_TRUE(replica_->Load(LoadOf("r3"), reply).ok());
  EXPECT_FALSE(reply.has_problem()) << "its own function may try again";
  EXPECT_TRUE(reply.bound());
}

TEST_F(ReplicaTest, NamesTheUsersFileAndNotItsCopy) {
  v1::LoadReply reply;
  v1::LoadRequest broken = LoadOf("r1");
  broken.set_handler("broken");
  ASSERT_TRUE(replica_->Load(broken, reply).ok());
  EXPECT_EQ(reply.problem().message(), LOADER_TEST_DIR "/good.so is broken");
  broken.set_source_path("functions/hello.so");
  ASSERT_TRUE(replica_->Load(broken, reply).ok());
  EXPECT_EQ(reply.problem().message(), "functions/hello.so is broken");
}

TEST_F(ReplicaTest, LoadsAnotherFunctionsModuleAfterOneThatItRefusedUnread) {
  v1::LoadRequest bad = LoadOf("r1");
  bad.set_inline_("this is no module");
  v1::LoadReply reply;
  ASSERT_TRUE(replica_->Load(bad, reply).ok());
  EXPECT_TRUE(reply.has_problem());
  EXPECT_FALSE(reply.bound());
  EXPECT_EQ(replica_->Describe().function(), "");
  v1::LoadRequest other = LoadOf("r1");
  other.set_function("default/other");
  v1::LoadReply loaded;
  ASSERT_TRUE(replica_->Load(other, loaded).ok());
  EXPECT_FALSE(loaded.has_problem());
  EXPECT_EQ(replica_->Describe().function(), "default/other");
}

TEST_F(ReplicaTest, RemembersTheNewestEpoch) {
  EXPECT_TRUE(replica_->Admit(3).ok());
  EXPECT_TRUE(replica_->Admit(3).ok());
  EXPECT_TRUE(replica_->Admit(4).ok());
  EXPECT_EQ(replica_->Admit(3).code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace mayfly::runtime
