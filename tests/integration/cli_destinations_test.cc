// Destinations of a running `mayfly up`: results that go on to functions and URLs, over a kill, and in a circle.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <csignal>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "tests/integration/kept_events.h"
#include "tests/integration/running_mayfly.h"

namespace mayfly {
namespace {

using base::Eventually;
using base::TempDir;
using ::testing::HasSubstr;
using testing::RunMayfly;
using testing::RunningMayfly;
namespace fs = std::filesystem;
using Json = nlohmann::json;
constexpr std::chrono::seconds kLong{30};

// A server that a result is posted to: it answers with 503 as often as it is told.
class Receiver {
 public:
  Receiver() {
    server_.Post("/done", [this](const httplib::Request& request, httplib::Response& response) {
      const std::lock_guard lock(mutex_);
      if (failures_ > 0) {
        --failures_;
        response.status = 503;
        return;
      }
      got_.push_back(request);
      response.status = 202;
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    EXPECT_TRUE(Eventually([this] { return server_.is_running(); }));
  }
  ~Receiver() {
    server_.stop();
    thread_.join();
  }

  std::string url() const { return absl::StrCat("http://127.0.0.1:", port_, "/done"); }
  void Fail(int times) {
    const std::lock_guard lock(mutex_);
    failures_ = times;
  }
  std::vector<httplib::Request> got() {
    const std::lock_guard lock(mutex_);
    return got_;
  }

 private:
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  std::mutex mutex_;
  int failures_ = 0;                   // guarded by mutex_
  std::vector<httplib::Request> got_;  // guarded by mutex_
};

class CliDestinationsTest : public testing::KeptEventsTest {
 protected:
  static int PostAsync(const RunningMayfly& up, const std::string& path, const std::string& body) {
    httplib::Client client(up.url());
    const httplib::Result result =
        client.Post(path.c_str(), httplib::Headers{{"Prefer", "respond-async"}}, body, "text/plain");
    return result ? result->status : -1;
  }
  Json Sum(const std::string& function, const std::string& trigger) {
    const Json json = Json::parse(Run({"events", "--json"}));
    for (const Json& of : json["sums"]) {
      if (of["trigger"] == trigger && of["function"] == absl::StrCat("default/", function)) return of;
    }
    return Json::object();
  }
};

TEST_F(CliDestinationsTest, AnswersGoOnToAFunctionAndFailuresAreTold) {
  Add("order", "fails",
      "  retry: {maxAttempts: 2, minBackoff: 1ms}\n  destinations: {onFailure: {function: audit}}\n");
  Add("price", "echo_plain", "  destinations: {onSuccess: {function: audit}}\n");
  Add("audit", "logs_event", "");
  const auto up = Up();
  EXPECT_EQ(PostAsync(*up, "/price", "12 EUR"), 202);
  EXPECT_TRUE(Eventually(
      [&] {
        return Run({"logs", "audit"})
                   .find("event dev.mayfly.function.succeeded /mayfly/functions/default/price") !=
               std::string::npos;
      },
      kLong));
  EXPECT_THAT(Run({"logs", "audit"}), HasSubstr("12 EUR"));
  EXPECT_EQ(PostAsync(*up, "/order", "x"), 202);
  EXPECT_TRUE(Eventually(
      [&] {
        return Run({"logs", "audit"})
                   .find("event dev.mayfly.function.failed /mayfly/functions/default/order") !=
               std::string::npos;
      },
      kLong));
  EXPECT_THAT(Run({"logs", "audit"}), HasSubstr("the disk of the moon is full"));
}

TEST_F(CliDestinationsTest, AUrlGetsTheAnswerAsACloudEventOnceItTakesIt) {
  Receiver receiver;
  receiver.Fail(2);
  Add("price", "echo_plain",
      absl::StrCat("  retry: {maxAttempts: 10, minBackoff: 10ms, maxBackoff: 100ms}\n"
                   "  destinations: {onSuccess: {url: '",
                   receiver.url(), "'}}\n"));
  const auto up = Up();
  EXPECT_EQ(PostAsync(*up, "/price", "12 EUR"), 202);
  ASSERT_TRUE(Eventually([&] { return receiver.got().size() == 1; }, kLong));
  const httplib::Request request = receiver.got()[0];
  EXPECT_EQ(request.body, "12 EUR");
  EXPECT_EQ(request.get_header_value("ce-specversion"), "1.0");
  EXPECT_EQ(request.get_header_value("ce-type"), "dev.mayfly.function.succeeded");
  EXPECT_EQ(request.get_header_value("ce-source"), "/mayfly/functions/default/price");
  EXPECT_EQ(request.get_header_value("ce-mayflyhops"), "1");
  EXPECT_EQ(request.get_header_value("Content-Type"), "text/plain");
  EXPECT_TRUE(Eventually([&] { return Sum("price", "_onSuccess").value("settled", 0) == 1; }, kLong));
}

TEST_F(CliDestinationsTest, ResultsOutliveAKillAndNoneIsLost) {
  constexpr int kEvents = 40;
  // Nobody can be told yet: the module of the next function is missing.
  Add("price", "echo_plain", "  destinations: {onSuccess: {function: audit}}\n");
  Add("audit", "", "");
  {
    const auto up = Up();
    for (int n = 0; n < kEvents; ++n)
      EXPECT_EQ(PostAsync(*up, "/price", absl::StrCat("number ", n, ".")), 202);
    up->Signal(SIGKILL);
    up->Wait();
  }
  fs::copy_file(fs::path(MAYFLY_TEST_MODULE_DIR) / "logs_event.so", temp_ / "f/audit.so");
  const auto up = Up();
  EXPECT_TRUE(Eventually([&] { return Sum("audit", "_destinations").value("settled", 0) >= kEvents; }, kLong))
      << Sum("audit", "_destinations").dump();
  EXPECT_EQ(Sum("price", "_async").value("settled", 0), kEvents);
  const std::string logs = Run({"logs", "audit"});
  for (int n = 0; n < kEvents; ++n)
    EXPECT_TRUE(logs.find(absl::StrCat("number ", n, ".")) != std::string::npos) << n;
}

TEST_F(CliDestinationsTest, ACircleEndsAsADeadLetterThatSaysSo) {
  Add("ping", "echo_plain", "  destinations: {onSuccess: {function: pong}}\n");
  Add("pong", "echo_plain", "  destinations: {onSuccess: {function: ping}}\n");
  const auto up = Up();
  EXPECT_EQ(PostAsync(*up, "/ping", "ball"), 202);
  EXPECT_TRUE(
      Eventually([&] { return Run({"dlq", "list"}).find("LoopDetected") != std::string::npos; }, kLong))
      << Run({"dlq", "list"});
  EXPECT_TRUE(Eventually([&] { return Sum("ping", "_destinations").value("pending", -1) == 0; }, kLong));
  EXPECT_TRUE(Eventually([&] { return Sum("pong", "_destinations").value("pending", -1) == 0; }, kLong));
}

}  // namespace
}  // namespace mayfly
