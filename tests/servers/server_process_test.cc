#include "tests/servers/server_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/eventually.h"

namespace mayfly::testing {
namespace {

TEST(ServerProcess, IsKilledAndStartedAgainOnItsPort) {
  ServerProcess server({.name = "nats"});
  const absl::Status started = server.Start();
  ASSERT_TRUE(started.ok()) << started;
  const int port = server.port();
  EXPECT_TRUE(Accepts(port));
  server.Kill();
  EXPECT_FALSE(Accepts(port));
  ASSERT_TRUE(server.Start().ok());
  EXPECT_EQ(server.port(), port);
  EXPECT_TRUE(Accepts(port));
  server.Stop();
  EXPECT_FALSE(Accepts(port));
}

TEST(ServerProcess, SaysWhyAServerDoesNotStart) {
  ServerProcess server({.name = "nats", .arguments = {"--config", "/nowhere"}});
  const absl::Status status = server.Start();
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("/nowhere"));
  EXPECT_FALSE(server.running());
}

TEST(ServerProcess, LeavesNothingBehind) {
  int port = 0;
  std::string folder;
  {
    ServerProcess server({.name = "nats"});
    ASSERT_TRUE(server.Start().ok());
    port = server.port();
    folder = server.folder();
    server.Freeze();
  }
  EXPECT_FALSE(Accepts(port));
  EXPECT_FALSE(std::filesystem::exists(folder));
}

}  // namespace
}  // namespace mayfly::testing
