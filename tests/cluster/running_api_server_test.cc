#include "tests/cluster/running_api_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace mayfly::testing {
namespace {

using ::testing::HasSubstr;

TEST(RunningApiServer, IsGoneWithItsFilesWhenTheTestIsDone) {
  std::string kubeconfig;
  {
    absl::StatusOr<RunningApiServer> server = RunningApiServer::Start();
    ASSERT_TRUE(server.ok()) << server.status();
    kubeconfig = server->kubeconfig();
    EXPECT_TRUE(std::filesystem::exists(kubeconfig));
  }
  EXPECT_FALSE(std::filesystem::exists(kubeconfig));
}

TEST(RunningApiServer, ComesBackAtTheSameAddressAfterItWasKilled) {
  absl::StatusOr<RunningApiServer> server = RunningApiServer::Start({"--controllers"});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(server->Command("compact").ok());
  EXPECT_TRUE(server->Command("kill kube-apiserver").ok());
  EXPECT_TRUE(server->Command("start kube-apiserver").ok());
  EXPECT_TRUE(server->Command("freeze etcd").ok());
  EXPECT_TRUE(server->Command("thaw etcd").ok());
}

TEST(RunningApiServer, SaysWhatItDoesNotKnow) {
  absl::StatusOr<RunningApiServer> server = RunningApiServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_THAT(std::string(server->Command("melt etcd").message()), HasSubstr("no such command"));
}

}  // namespace
}  // namespace mayfly::testing
