#include "admin/admin_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/file_descriptor.h"

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

TEST(AdminServer, NamesWhoHoldsATakenPort) {
  base::Metrics metrics;
  AdminServer first(metrics, [] { return std::string(); });
  const auto bound = first.Start("127.0.0.1:0");
  ASSERT_TRUE(bound.ok()) << bound.status();
  AdminServer second(metrics, [] { return std::string(); });
  const std::string said(second.Start(*bound).status().message());
  EXPECT_NE(said.find("process " + std::to_string(::getpid()) + " ("), std::string::npos) << said;
  EXPECT_NE(said.find("choose another port"), std::string::npos) << said;
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
  ASSERT_TRUE(bound.ok()) << bound.status();
  for (const std::string& address : {std::string("nonsense"), std::string("127.0.0.1:99999"), *bound,
                                     std::string("unix:"), "unix:/" + std::string(200, 'x')}) {
    AdminServer server(metrics, [] { return std::string(); });
    const auto refused = server.Start(address);
    ASSERT_FALSE(refused.ok()) << address;
    EXPECT_NE(refused.status().message().find(address), std::string_view::npos) << refused.status();
  }
}

// A server with the pages that these tests ask for, and a client of it.
class AdminPages : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.Handle("GET", "/things/*/*", [](const Request& request) {
      return Reply{200, "text/plain", request.path + " " + request.query("tail") + "|" + request.query("x")};
    });
    server_.Handle("POST", "/things",
                   [](const Request& request) { return Reply{201, "text/plain", request.body}; });
    const auto bound = server_.Start("127.0.0.1:0");
    ASSERT_TRUE(bound.ok()) << bound.status();
    port_ = static_cast<std::uint16_t>(std::stoi(bound->substr(bound->rfind(':') + 1)));
    client_ = std::make_unique<httplib::Client>("http://" + *bound);
  }

  std::uint16_t port_ = 0;
  base::Metrics metrics_;
  AdminServer server_{metrics_, [] { return std::string(); }};
  std::unique_ptr<httplib::Client> client_;
};

TEST_F(AdminPages, HandsPathQueryAndBodyToTheirHandler) {
  EXPECT_EQ(client_->Get("/things/a/b?tail=7&x=")->body, "/things/a/b 7|");
  EXPECT_EQ(client_->Get("/things/a/b?tails=7")->body, "/things/a/b |");
  EXPECT_EQ(client_->Post("/things", "hello", "text/plain")->body, "hello");
}

TEST_F(AdminPages, RefusesWhatNoPageMatches) {
  for (const char* const path : {"/", "/things", "/things/a", "/things//b", "/things/a/", "/things/a/b/c"}) {
    EXPECT_NE(client_->Get(path)->status, 200) << path;
  }
  EXPECT_EQ(client_->Get("/nothing")->status, 404);
  EXPECT_EQ(client_->Delete("/healthz")->status, 405);
  EXPECT_EQ(client_->Post("/healthz", "", "text/plain")->status, 405);
}

TEST_F(AdminPages, AnswersHeadWithoutABodyOnAConnectionThatStays) {
  client_->set_keep_alive(true);
  const auto head = client_->Head("/healthz");
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->body, "");
  EXPECT_EQ(client_->Get("/healthz")->body, "ok\n");
}

TEST_F(AdminPages, RefusesBodiesAndHeadsThatAreTooLarge) {
  EXPECT_EQ(client_->Post("/things", std::string(2u << 20, 'x'), "text/plain")->status, 413);
  EXPECT_EQ(client_->Get("/healthz", {{"X-Long", std::string(20u << 10, 'x')}})->status, 431);
  EXPECT_EQ(client_->Get("/healthz")->status, 200);
}

TEST_F(AdminPages, ClosesConnectionsBeyondItsLimitAndServesAgainOnceSomeAreGone) {
  std::vector<base::FileDescriptor> idle;
  const auto connected = [this] {
    base::FileDescriptor fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  };
  for (int i = 0; i < 64; ++i) idle.push_back(connected());
  const base::FileDescriptor one_more = connected();
  pollfd wait{one_more.get(), POLLIN, 0};
  ASSERT_EQ(poll(&wait, 1, 4000), 1) << "it was not closed at once";
  char byte = 0;
  EXPECT_LE(read(one_more.get(), &byte, 1), 0);
  idle.clear();
  httplib::Result answer = client_->Get("/healthz");
  // The server sees the others go one by one.
  for (int i = 0; i < 1000 && !answer; ++i) answer = client_->Get("/healthz");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
}

TEST_F(AdminPages, EndsWhileClientsAreConnected) {
  client_->set_keep_alive(true);
  ASSERT_EQ(client_->Get("/healthz")->status, 200);
  // The fixture's destructor stops the server before the client.
}

}  // namespace
}  // namespace mayfly::admin
