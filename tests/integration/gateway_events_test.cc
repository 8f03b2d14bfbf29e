// The program mayfly-gateway with a folder for events, and without: what a cluster's gateway does, without a cluster.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"

namespace mayfly {
namespace {

using base::Eventually;
using ::testing::HasSubstr;
using Json = nlohmann::json;

// A gateway that gets its routes from a file: a function without a replica, so that what comes stays pending.
class GatewayProgram {
 public:
  GatewayProgram(const std::string& folder, const std::vector<std::string>& more) : log_(folder + "/log") {
    base::WriteFile(
        folder + "/routes.json",
        R"({"upsert": [{"function": "default/f", "concurrency": 1, "http": [{"name": "h", "path": "/f"},
                                                                                          {"name": "hook", "path": "/hook", "events": true}],
                        "triggers": [{"name": "tick", "cron": {"schedule": "* * * * * *"}},
                                     {"name": "hook", "webhook": {"service": "GENERIC"}}]}]})");
    std::vector<std::string> words = {MAYFLY_BIN_DIR "/mayfly-gateway",
                                      "--routes",
                                      folder + "/routes.json",
                                      "--listen",
                                      "127.0.0.1:0",
                                      "--drain-seconds",
                                      "0"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    EXPECT_EQ(::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    EXPECT_TRUE(Eventually([&] { return log().find("msg=ready") != std::string::npos; })) << log();
    const std::string text = log();
    const std::size_t at = text.find("address=");
    if (at != std::string::npos)
      url_ = "http://" + text.substr(at + 8, text.find_first_of(" \n", at) - at - 8);
  }
  ~GatewayProgram() { End(SIGKILL); }

  void End(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  std::string log() const {
    std::ifstream file(log_);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  httplib::Result PostAsync() const {
    httplib::Client client(url_);
    return client.Post("/f", httplib::Headers{{"Prefer", "respond-async"}}, "x", "text/plain");
  }
  const std::string& url() const { return url_; }
  Json StateOf(const std::string& location) const {
    httplib::Client client(url_);
    const httplib::Result result = client.Get(location.c_str());
    return result ? Json::parse(result->body, nullptr, false) : Json();
  }

 private:
  const std::string log_;
  pid_t pid_ = -1;
  std::string url_;
};

TEST(GatewayEvents, AreThereAfterTheGatewayWasKilled) {
  const base::TempDir folder;
  const std::string data = folder / "events";
  std::string location;
  {
    GatewayProgram gateway(folder / "", {"--events", data});
    const httplib::Result accepted = gateway.PostAsync();
    ASSERT_TRUE(accepted);
    ASSERT_EQ(accepted->status, 202) << accepted->body;
    location = accepted->get_header_value("Location");
    gateway.End(SIGKILL);
  }
  GatewayProgram gateway(folder / "", {"--events", data});
  const Json state = gateway.StateOf(location);
  EXPECT_TRUE(state.value("state", "") == "waiting" || state.value("state", "") == "running") << state.dump();
}

TEST(GatewayEvents, TakesAWebhookOnceItIsOnTheDisk) {
  const base::TempDir folder;
  GatewayProgram gateway(folder / "", {"--events", folder / "events"});
  httplib::Client client(gateway.url());
  const httplib::Result posted = client.Post("/hook", "x", "text/plain");
  ASSERT_TRUE(posted);
  EXPECT_EQ(posted->status, 202) << posted->body;
}

TEST(GatewayEvents, ASecondGatewayDoesNotGetTheFolderOfAnother) {
  const base::TempDir folder;
  const std::string data = folder / "events";
  GatewayProgram first(folder / "", {"--events", data});
  ASSERT_TRUE(first.PostAsync());
  const std::string second = std::string(MAYFLY_BIN_DIR) + "/mayfly-gateway --listen 127.0.0.1:0 --routes " +
                             (folder / "routes.json") + " --events " + data + " 2>" + (folder / "second");
  const int status = std::system(second.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
  std::ifstream file(folder / "second");
  std::stringstream said;
  said << file.rdbuf();
  EXPECT_THAT(said.str(), HasSubstr("events cannot be kept"));
}

TEST(GatewayEvents, WithoutAFolderAreRefusedInWordsThatMendIt) {
  const base::TempDir folder;
  GatewayProgram gateway(folder / "", {});
  const httplib::Result refused = gateway.PostAsync();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 501);
  EXPECT_THAT(refused->body, HasSubstr("NoEventStore"));
  httplib::Client client(gateway.url());
  const httplib::Result posted = client.Post("/hook", "x", "text/plain");
  ASSERT_TRUE(posted);
  EXPECT_EQ(posted->status, 501);
  EXPECT_THAT(posted->body, HasSubstr("--events FOLDER"));
  EXPECT_TRUE(Eventually([&] { return gateway.log().find("--events FOLDER") != std::string::npos; }))
      << gateway.log();
}

}  // namespace
}  // namespace mayfly
