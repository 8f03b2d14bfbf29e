#include "admin/admin_server.h"

#include <gtest/gtest.h>
#include <httplib.h>
#include <unistd.h>

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

TEST(AdminServer, SaysWhyItCannotListen) {
  base::Metrics metrics;
  AdminServer first(metrics, [] { return std::string(); });
  const auto bound = first.Start("127.0.0.1:0");
  AdminServer server(metrics, [] { return std::string(); });
  EXPECT_FALSE(server.Start("nonsense").ok());
}

}  // namespace
}  // namespace mayfly::admin
