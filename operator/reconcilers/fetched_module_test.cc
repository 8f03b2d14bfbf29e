// Modules that runtimes fetch from URLs, as the reconciler sees it.
#include <gtest/gtest.h>

#include <atomic>

#include "operator/reconcilers/testing/rig.h"
#include "proto/problem.h"

namespace mayfly::op {
namespace {

v1::LoadReply Refusal(const std::string& reason, const std::string& message) {
  v1::LoadReply reply;
  *reply.mutable_problem() = v1::MakeProblem("runtime", reason, message);
  return reply;
}

class FetchedModuleTest : public ::testing::Test {
 protected:
  Rig rig_;
};

TEST_F(FetchedModuleTest, AsksAgainForAModuleThatIsBeingFetched) {
  FunctionObject object = rig_.Hello("aa", 1, 20);
  object.artifact_path.clear();
  object.artifact_url = "https://example.com/hello.so";
  std::atomic<int> left = 3;
  rig_.client_.OnLoad([&](const std::string&, const v1::LoadRequest& request) {
    EXPECT_EQ(request.url(), "https://example.com/hello.so");
    EXPECT_EQ(request.sha256(), "aa");
    return left-- > 0 ? Refusal("ArtifactFetching", "1 of 2 bytes have come") : v1::LoadReply();
  });
  rig_.cluster_.RunAtOnce(true);
  rig_.cluster_.Apply(object);
  rig_.Settle();
  EXPECT_EQ(rig_.endpoints(), 0);
  rig_.Pass(4);
  EXPECT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.cluster_.created(), 1);
  EXPECT_FALSE(rig_.cluster_.Status(Rig::kKey).last_failure) << "it is no failure";
}

TEST_F(FetchedModuleTest, ServesOnWhileTheSourceOfItsModuleCannotBeReached) {
  rig_.cluster_.RunAtOnce(true);
  rig_.cluster_.Apply(rig_.Hello("aa", 1, 20));
  rig_.Settle();
  ASSERT_EQ(rig_.endpoints(), 1);
  std::atomic<bool> away = true;
  rig_.client_.OnLoad([&](const std::string&, const v1::LoadRequest&) {
    return away ? Refusal("ArtifactUnreachable", "example.com does not answer") : v1::LoadReply();
  });
  rig_.cluster_.Apply(rig_.Hello("aa", 3, 20));
  rig_.Settle();
  rig_.Pass(5);
  EXPECT_EQ(rig_.endpoints(), 1);
  EXPECT_EQ(rig_.cluster_.Status(Rig::kKey).last_failure->message(), "example.com does not answer");
  away = false;
  rig_.Pass(20);
  EXPECT_EQ(rig_.endpoints(), 3);
}

}  // namespace
}  // namespace mayfly::op
