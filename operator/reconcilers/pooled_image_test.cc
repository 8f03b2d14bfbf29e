// Replicas that come out of a pool, of a function whose module is in an image.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/reconcilers/testing/rig.h"
#include "proto/problem.h"

namespace mayfly::op {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr char kImage[] = "r.example.com/hello:1";

class PooledImageTest : public testing::Test {
 protected:
  PooledImageTest() {
    rig_.pool_.Add("p1");
    object_ = rig_.Hello("");
    object_.artifact_identity = kImage;
    object_.artifact_path = "/mayfly/image/module.so";
    object_.artifact_image.emplace().set_reference(kImage);
  }
  void Apply() {
    rig_.cluster_.Apply(object_);
    rig_.Settle();
  }
  void Ask() {
    rig_.link_.Report(Rig::kKey, 0, 1);
    rig_.Settle();
  }
  void NameSecret(const std::string& name) {
    auto function = std::make_shared<Function>(*object_.function);
    function->spec.image_pull_secrets = {name};
    object_.function = function;
  }
  // What a replica of the pool says; one that has the image mounted loads it.
  void RefuseImages(const std::string& reason, bool bound = false) {
    rig_.client_.OnLoad([reason, bound](const std::string&, const v1::LoadRequest& request) {
      v1::LoadReply reply;
      if (!request.has_image()) return reply;
      *reply.mutable_problem() = v1::MakeProblem("runtime", reason, "the registry says no");
      reply.set_bound(bound);
      return reply;
    });
  }
  std::string LastFailure() { return rig_.cluster_.Status(Rig::kKey).last_failure->message(); }

  Rig rig_;
  FunctionObject object_;
};

TEST_F(PooledImageTest, IsFetchedByAReplicaOfThePool) {
  Apply();
  Ask();
  EXPECT_EQ(rig_.endpoints(), 1);
  ASSERT_THAT(rig_.client_.Loads(), SizeIs(1));
  const v1::LoadRequest load = rig_.client_.Loads()[0];
  EXPECT_EQ(load.image().reference(), kImage);
  EXPECT_GT(load.fetch_wait_ms(), 0u);
  EXPECT_EQ(load.path(), "");
  EXPECT_THAT(rig_.pool_.claimed(), ElementsAre("p1 for default/hello"));
}

TEST_F(PooledImageTest, IsReadFromTheVolumeOfAReplicaOfItsOwn) {
  rig_.pool_.RefuseWith(absl::FailedPreconditionError("it does not fit"));
  Apply();
  rig_.ServeOne();
  ASSERT_THAT(rig_.client_.Loads(), SizeIs(1));
  EXPECT_EQ(rig_.client_.Loads()[0].path(), "/mayfly/image/module.so");
}

TEST_F(PooledImageTest, IsFetchedByWhomThePullSecretsName) {
  NameSecret("login");
  rig_.cluster_.SetSecret(
      "login", {{".dockerconfigjson", R"({"auths":{"r.example.com":{"username":"ada","password":"s"}}})"}});
  Apply();
  Ask();
  ASSERT_THAT(rig_.client_.Loads(), SizeIs(1));
  ASSERT_EQ(rig_.client_.Loads()[0].image().logins_size(), 1);
  EXPECT_EQ(rig_.client_.Loads()[0].image().logins(0).username(), "ada");
}

TEST_F(PooledImageTest, SaysThatAPullSecretIsMissingToWhoIsNotLetIn) {
  NameSecret("login");
  RefuseImages("ArtifactForbidden");
  Apply();
  Ask();
  EXPECT_THAT(
      LastFailure(),
      AllOf(HasSubstr("the registry says no"), HasSubstr("there is no Secret login in namespace default"),
            HasSubstr("kubectl create secret docker-registry login"), HasSubstr("pods of its own instead")));
}

TEST_F(PooledImageTest, IsMountedInAPodOfItsOwnIfAReplicaOfThePoolCannotFetchIt) {
  for (const char* reason :
       {"ArtifactForbidden", "ArtifactUntrusted", "ArtifactUnreachable", "NotReadable"}) {
    Rig rig;
    rig.pool_.Add("p1");
    rig.client_.OnLoad([reason](const std::string&, const v1::LoadRequest& request) {
      v1::LoadReply reply;
      if (request.has_image()) *reply.mutable_problem() = v1::MakeProblem("runtime", reason, "no");
      return reply;
    });
    rig.cluster_.Apply(object_);
    rig.Settle();
    rig.ServeOne();
    EXPECT_EQ(rig.endpoints(), 1) << reason;
    EXPECT_EQ(rig.cluster_.created(), 1) << reason;
    EXPECT_THAT(rig.pool_.waiting(), ElementsAre("p1")) << "none of its code ran there";
    EXPECT_THAT(rig.pool_.claimed(), IsEmpty());
    EXPECT_TRUE(rig.cluster_.HasEvent(reason));
  }
}

TEST_F(PooledImageTest, IsRefusedIfANodeCouldDoNoBetter) {
  for (const char* reason : {"DigestMismatch", "ArtifactNotFound", "BadArtifactImage", "TooLarge"}) {
    Rig rig;
    rig.pool_.Add("p1");
    rig.client_.OnLoad([reason](const std::string&, const v1::LoadRequest&) {
      v1::LoadReply reply;
      *reply.mutable_problem() = v1::MakeProblem("runtime", reason, "it is another");
      return reply;
    });
    rig.cluster_.Apply(object_);
    rig.Settle();
    rig.link_.Report(Rig::kKey, 0, 1);
    rig.Settle();
    EXPECT_EQ(rig.cluster_.created(), 0) << reason;
    EXPECT_THAT(rig.pool_.waiting(), ElementsAre("p1"));
    EXPECT_EQ(rig.link_.Route(Rig::kKey)->unavailable().reason(), reason);
    EXPECT_EQ(rig.cluster_.Status(Rig::kKey).last_failure->message(), "it is another");
  }
}

TEST_F(PooledImageTest, TakesFromThePoolAgainAfterAWhile) {
  RefuseImages("ArtifactUnreachable");
  Apply();
  rig_.ServeOne();
  const int takes = rig_.pool_.takes();
  rig_.clock_.Advance(std::chrono::minutes(11));
  for (const Replica& replica : rig_.cluster_.All()) rig_.cluster_.Vanish(replica.name);
  rig_.link_.Report(Rig::kKey, 0, 1);
  rig_.Pass(5);
  EXPECT_EQ(rig_.pool_.takes(), takes + 1);
}

TEST_F(PooledImageTest, TakesFromThePoolForAnotherImage) {
  RefuseImages("ArtifactUnreachable");
  object_.replica_template = "t1";
  Apply();
  rig_.ServeOne();
  const int takes = rig_.pool_.takes();
  object_.artifact_image->set_reference("r.example.com/hello:2");
  object_.artifact_identity = "r.example.com/hello:2";
  object_.replica_template = "t2";
  rig_.client_.OnLoad([](const std::string&, const v1::LoadRequest&) { return v1::LoadReply(); });
  Apply();
  EXPECT_EQ(rig_.pool_.takes(), takes + 1);
  EXPECT_EQ(rig_.client_.Loads().back().image().reference(), "r.example.com/hello:2");
}

TEST_F(PooledImageTest, GuessesNoLoginWhileTheClusterDoesNotAnswer) {
  NameSecret("login");
  rig_.cluster_.FailWith([](const std::string& call) {
    return call == "GetSecret" ? absl::UnavailableError("the API server is away") : absl::OkStatus();
  });
  Apply();
  Ask();
  EXPECT_THAT(rig_.client_.Loads(), IsEmpty());
  EXPECT_THAT(LastFailure(), HasSubstr("the API server is away"));
  EXPECT_THAT(rig_.pool_.waiting(), ElementsAre("p1"));
  EXPECT_EQ(rig_.cluster_.created(), 1);
}

TEST_F(PooledImageTest, LeavesAReplicaThatWaitedInVainForItsImage) {
  // It is claimed while the image is fetched, and cannot go back to the pool then.
  int loads = 0;
  rig_.client_.OnLoad([&loads](const std::string&, const v1::LoadRequest& request) {
    v1::LoadReply reply;
    if (!request.has_image()) return reply;
    *reply.mutable_problem() =
        v1::MakeProblem("runtime", ++loads == 1 ? "ArtifactFetching" : "ArtifactUnreachable", "no");
    return reply;
  });
  Apply();
  Ask();
  EXPECT_THAT(rig_.pool_.claimed(), ElementsAre("p1 for default/hello"));
  rig_.Pass(1);
  EXPECT_EQ(rig_.cluster_.created(), 1) << "one of its own is made";
  rig_.cluster_.RunAll();
  rig_.Settle();
  rig_.link_.Report(Rig::kKey, 1, 0);
  rig_.Pass(5);
  EXPECT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.cluster_.deleted(), 1) << "and p1 is not needed any more";
  EXPECT_EQ(loads, 2);
}

}  // namespace
}  // namespace mayfly::op
