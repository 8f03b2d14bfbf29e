#include "admin/admin_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace mayfly::admin {
namespace {

TEST(AdminServer, ServesMetricsAndHealth) {
  base::Metrics metrics;
  metrics.Counter("mayfly_test_total", "A test.").Increment();
  std::string why_not;
  AdminServer server(metrics, [&] { return why_not; });
  const auto bound = server.Start("127.0.0.1:0");
  ASSERT_TRUE(bound.ok()) << bound.status();
  httplib::Client client("http://" + *bound);
  EXPECT_NE(client.Get("/metrics")->body.find("mayfly_test_total 1"), std::string::npos);
  EXPECT_EQ(client.Get("/healthz")->status, 200);
  EXPECT_EQ(client.Get("/readyz")->status, 200);
  why_not = "no routes yet";
  EXPECT_EQ(client.Get("/readyz")->status, 503);
}

TEST(AdminServer, AUnixSocketIsItsOwnersAloneAndGoesWithTheServer) {
  base::Metrics metrics;
  const std::string path = testing::TempDir() + "/admin.sock";
  {
    AdminServer server(metrics, [] { return std::string(); });
    ASSERT_TRUE(server.Start("unix:" + path).ok());
    httplib::Client client(path);
    client.set_address_family(AF_UNIX);
    EXPECT_EQ(client.Get("/healthz")->status, 200);
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(AdminServer, LetsOnlyItsUserIntoAUnixSocketAndLeavesTheUmaskAlone) {
  const std::string path = ::testing::TempDir() + "/admin-mode-test.sock";
  const std::string file = path + ".file";
  // What another thread makes meanwhile has the mode that it asked for.
  std::atomic<int> wrong{0};
  std::jthread other([&file, &wrong](std::stop_token stop) {
    while (!stop.stop_requested()) {
      const int fd = open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0700);
      struct stat info{};
      if (fd < 0 || fstat(fd, &info) != 0 || (info.st_mode & 0777) != 0700) ++wrong;
      close(fd);
      unlink(file.c_str());
    }
  });
  base::Metrics metrics;
  for (int i = 0; i < 100; ++i) {
    AdminServer server(metrics, [] { return std::string(); });
    ASSERT_TRUE(server.Start("unix:" + path).ok());
    struct stat info{};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
  }
  other.request_stop();
  other.join();
  EXPECT_EQ(wrong, 0);
}

TEST(AdminServer, SaysWhyItCannotListen) {
  base::Metrics metrics;
  AdminServer first(metrics, [] { return std::string(); });
  const auto bound = first.Start("127.0.0.1:0");
  AdminServer server(metrics, [] { return std::string(); });
  EXPECT_FALSE(server.Start("nonsense").ok());
}

}  // namespace
}  // namespace mayfly::admin
