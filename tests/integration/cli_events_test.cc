// Events of a running `mayfly up`: requests whose caller does not wait, schedules, dead letters, and restarts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"
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

class CliEventsTest : public testing::KeptEventsTest {
 protected:
  static httplib::Result PostAsync(const RunningMayfly& up, const std::string& path, const std::string& body,
                                   const std::string& key = "") {
    httplib::Client client(up.url());
    httplib::Headers headers = {{"Prefer", "respond-async"}};
    if (!key.empty()) headers.emplace("Idempotency-Key", key);
    return client.Post(path.c_str(), headers, body, "text/plain");
  }
  static Json StateOf(const RunningMayfly& up, const std::string& location) {
    httplib::Client client(up.url());
    const httplib::Result result = client.Get(location.c_str());
    return result ? Json::parse(result->body, nullptr, false) : Json();
  }
  Json Letters() { return Json::parse(Run({"dlq", "list", "--json"}))["letters"]; }
  // The only dead letter's id, once there is one.
  std::string AwaitLetter() {
    EXPECT_TRUE(Eventually([&] { return Letters().size() == 1; }, std::chrono::seconds(20)));
    return Letters()[0].value("id", "");
  }
};

TEST_F(CliEventsTest, AnswersAnAsynchronousRequestWithItsIdAndKeepsTheResult) {
  Add("echo", "echo_plain");
  const auto up = Up();
  const httplib::Result accepted = PostAsync(*up, "/echo", "some body", "order-1");
  ASSERT_TRUE(accepted);
  ASSERT_EQ(accepted->status, 202) << accepted->body;
  const std::string location = accepted->get_header_value("Location");
  EXPECT_TRUE(Eventually([&] { return StateOf(*up, location).value("state", "") == "done"; },
                         std::chrono::seconds(20)));
  const Json done = StateOf(*up, location);
  EXPECT_EQ(done["result"]["body"], "some body");
  EXPECT_EQ(done["result"]["status"], 200);
  const httplib::Result again = PostAsync(*up, "/echo", "some body", "order-1");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->get_header_value("Location"), location);
  EXPECT_EQ(StateOf(*up, "/_mayfly/invocations/nonsense")["reason"], "NoSuchInvocation");
  EXPECT_THAT(Run({"events"}), HasSubstr("_async"));
}

TEST_F(CliEventsTest, DeliversAfterARestartWhatWasAcceptedBeforeAKill) {
  Add("fails", "fails", "  retry: {maxAttempts: 50, minBackoff: 1h, maxBackoff: 1h}\n");
  std::string location;
  {
    const auto up = Up();
    const httplib::Result accepted = PostAsync(*up, "/fails", "x");
    ASSERT_TRUE(accepted);
    ASSERT_EQ(accepted->status, 202) << accepted->body;
    location = accepted->get_header_value("Location");
    up->Signal(SIGKILL);
    up->Wait();
  }
  const auto up = Up();
  EXPECT_TRUE(
      Eventually([&] { return StateOf(*up, location).value("attempts", 0) >= 1; }, std::chrono::seconds(20)))
      << StateOf(*up, location).dump();
  httplib::Client client(up->url());
  const httplib::Result cancelled = client.Delete(location.c_str());
  ASSERT_TRUE(cancelled);
  EXPECT_EQ(cancelled->status, 202) << cancelled->body;
  EXPECT_TRUE(Eventually([&] { return StateOf(*up, location).value("state", "") == "cancelled"; }));
}

TEST_F(CliEventsTest, AnInvocationThatIsOverCannotBeTakenBackAndSaysSo) {
  Add("echo", "echo_plain");
  const auto up = Up();
  const httplib::Result accepted = PostAsync(*up, "/echo", "x");
  ASSERT_TRUE(accepted);
  const std::string location = accepted->get_header_value("Location");
  ASSERT_TRUE(Eventually([&] { return StateOf(*up, location).value("state", "") == "done"; },
                         std::chrono::seconds(20)));
  httplib::Client client(up->url());
  const httplib::Result late = client.Delete(location.c_str());
  ASSERT_TRUE(late);
  EXPECT_EQ(late->status, 409) << late->body;
  const Json said = Json::parse(late->body, nullptr, false);
  EXPECT_EQ(said["reason"], "InvocationIsOver");
  EXPECT_EQ(said["state"], "done");
  const httplib::Result unknown = client.Delete("/_mayfly/invocations/nonsense");
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->status, 404) << unknown->body;
}

TEST_F(CliEventsTest, KnowsAfterARestartWhatBecameOfEarlierEvents) {
  Add("echo", "echo_plain");
  {
    const auto up = Up();
    const httplib::Result accepted = PostAsync(*up, "/echo", "x");
    ASSERT_TRUE(accepted);
    const std::string location = accepted->get_header_value("Location");
    ASSERT_TRUE(Eventually([&] { return StateOf(*up, location).value("state", "") == "done"; },
                           std::chrono::seconds(20)));
    up->Signal(SIGINT);
    EXPECT_EQ(up->Wait(), 0);
  }
  const auto up = Up();
  EXPECT_TRUE(Eventually([&] {
    const Json json = Json::parse(Run({"events", "--json"}));
    return json["sums"].size() == 1 && json["sums"][0]["trigger"] == "_async" &&
           json["sums"][0]["settled"] == 1;
  })) << Run({"events"});
}

TEST_F(CliEventsTest, EventsThatWaitForTheirBatchAreNotRunning) {
  Add("tick", "echo_plain",
      "  triggers:\n  - {name: tick, cron: {schedule: '* * * * * *'}, batch: {size: 100, window: 1m}}\n");
  const auto up = Up();
  Json events;
  EXPECT_TRUE(Eventually(
      [&] {
        events = Json::parse(Run({"events", "--json"}))["events"];
        return events.size() >= 2;
      },
      std::chrono::seconds(20)));
  for (const Json& event : events) EXPECT_EQ(event["state"], "waiting") << event.dump();
}

// A port that nobody has now; 0 if there is none.
int FreePort() {
  const base::FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return 0;
  }
  return ntohs(address.sin_port);
}

TEST_F(CliEventsTest, EventsAreOfThePortAndOfWhatIsServedAndOfTheirOwnerAlone) {
  Add("fails", "fails", "  retry: {maxAttempts: 50, minBackoff: 1h, maxBackoff: 1h}\n");
  fs::create_directories(temp_ / "other/f");
  ::setenv("XDG_STATE_HOME", (temp_ / "state").c_str(), 1);
  const std::string port = absl::StrCat(FreePort());
  const auto pending_in = [&](const std::string& folder, bool send) {
    RunningMayfly up(temp_ / "run", {"up", "--port", port, folder});
    EXPECT_TRUE(up.WaitUntilReady()) << up.out() << up.err();
    if (send) {
      const httplib::Result accepted = PostAsync(up, "/fails", "x");
      EXPECT_TRUE(accepted && accepted->status == 202);
    }
    const std::size_t count = Json::parse(Run({"events", "--json"}))["events"].size();
    up.Signal(SIGINT);
    EXPECT_EQ(up.Wait(), 0);
    return count;
  };
  EXPECT_EQ(pending_in(temp_ / "f", true), 1u);
  EXPECT_EQ(pending_in(temp_ / "other/f", false), 0u);
  EXPECT_EQ(pending_in(temp_ / "f/", false), 1u);
  ::unsetenv("XDG_STATE_HOME");
  int stores = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(temp_ / "state")) {
    EXPECT_EQ(entry.status().permissions() & (fs::perms::group_all | fs::perms::others_all), fs::perms::none)
        << entry.path();
    stores += entry.path().filename() == "events.db" ? 1 : 0;
  }
  EXPECT_EQ(stores, 2);
}

TEST_F(CliEventsTest, KeepsDeadLettersUntilTheyAreRedrivenOrPurged) {
  Add("fails", "fails", "  retry: {maxAttempts: 1}\n");
  const auto up = Up();
  ASSERT_TRUE(PostAsync(*up, "/fails", "x"));
  const std::string id = AwaitLetter();
  ASSERT_NE(id, "");
  const Json shown = Json::parse(Run({"dlq", "show", id}));
  ASSERT_EQ(shown["history"].size(), 1u);
  for (const Json& time : {shown["accepted"], shown["died"], shown["history"][0]["at"]})
    EXPECT_THAT(time.dump(), ::testing::MatchesRegex("\"20..-..-..T..:..:..Z\""));
  const testing::Ran missing = RunMayfly(temp_ / "run", {"dlq", "show", "nope"});
  EXPECT_EQ(missing.exit_code, 4);
  EXPECT_THAT(missing.err, HasSubstr("there is no dead letter nope: `mayfly dlq list` lists what there is"));
  EXPECT_THAT(Run({"dlq", "redrive", id}), HasSubstr("1 dead letter redriven"));
  ASSERT_TRUE(Eventually([&] { return Letters().size() == 1; }, std::chrono::seconds(20)))
      << "it fails again";
  EXPECT_THAT(Run({"dlq", "purge", "--all"}), HasSubstr("1 dead letter purged"));
  EXPECT_THAT(Run({"dlq", "list"}), HasSubstr("no dead letters"));
}

TEST_F(CliEventsTest, ReplaysADeadLetterHereAndUnderADebugger) {
  Add("fails", "fails", "  retry: {maxAttempts: 1}\n");
  const auto up = Up();
  ASSERT_TRUE(PostAsync(*up, "/fails?message=lost", "x"));
  const std::string id = AwaitLetter();
  ASSERT_NE(id, "");
  const testing::Ran replayed = RunMayfly(temp_ / "run", {"replay", id});
  EXPECT_EQ(replayed.exit_code, 1);
  EXPECT_THAT(replayed.err, HasSubstr("failed: lost")) << "the query came along";
  const testing::Ran debugged = RunMayfly(temp_ / "run", {"replay", id, "--gdb", "--", "-batch"});
  EXPECT_THAT(debugged.out, HasSubstr("Temporary breakpoint")) << debugged.err;
  EXPECT_THAT(debugged.out, HasSubstr("ok_or_harm (")) << "the handler's own name";
  EXPECT_EQ(Letters().size(), 1u) << "nothing is settled by it";
  const testing::Ran missing = RunMayfly(temp_ / "run", {"replay", "nope"});
  EXPECT_EQ(missing.exit_code, 4);
  EXPECT_THAT(missing.err, HasSubstr("there is no dead letter and no pending event nope: `mayfly dlq list`"));
}

TEST_F(CliEventsTest, ReplaysWithAnotherBuildOfTheModule) {
  Add("fails", "fails", "  retry: {maxAttempts: 1}\n");
  const auto up = Up();
  ASSERT_TRUE(PostAsync(*up, "/fails", "some body"));
  const std::string id = AwaitLetter();
  ASSERT_NE(id, "");
  const testing::Ran replayed =
      RunMayfly(temp_ / "run", {"replay", id, "--module", MAYFLY_TEST_MODULE_DIR "/echo_plain.so"});
  EXPECT_EQ(replayed.exit_code, 0) << replayed.err;
  EXPECT_EQ(replayed.out, "some body");
}

TEST_F(CliEventsTest, FiresASchedule) {
  Add("tick", "echo_plain",
      "  triggers:\n  - {name: tick, cron: {schedule: '* * * * * *'}}\n  - {name: http, http: {path: "
      "/tick}}\n");
  const auto up = Up();
  EXPECT_TRUE(Eventually(
      [&] {
        const Json json = Json::parse(Run({"events", "--json"}));
        for (const Json& sum : json["sums"]) {
          if (sum["trigger"] == "tick" && sum["settled"].get<int>() >= 2) return true;
        }
        return false;
      },
      std::chrono::seconds(30)));
}

TEST_F(CliEventsTest, EventsThatWaitBringReplicasAndTheirEndTakesThemAway) {
  Add("sleeps", "sleeps", "  concurrency: 1\n  scaling: {maxReplicas: 3, scaleToZeroAfter: 300ms}\n");
  const auto up = Up();
  constexpr int kEvents = 20;
  for (int n = 0; n < kEvents; ++n) {
    const httplib::Result accepted = PostAsync(*up, "/sleeps?ms=400", "x");
    ASSERT_TRUE(accepted);
    ASSERT_EQ(accepted->status, 202) << accepted->body;
  }
  const auto function = [&] { return Json::parse(Run({"get", "sleeps", "-o", "json"})); };
  const auto followed = [&] {
    const Json json = function();
    for (const Json& decision : json["decisions"]) {
      if (decision["inputs"].value("trigger", "") == "_async" && decision["desired"] == 3) return true;
    }
    return false;
  };
  EXPECT_TRUE(Eventually(followed, std::chrono::seconds(20))) << function().dump(1);
  const auto sum = [&] {
    const Json json = Json::parse(Run({"events", "--json"}));
    for (const Json& of : json["sums"]) {
      if (of["trigger"] == "_async") return of;
    }
    return Json::object();
  };
  EXPECT_TRUE(Eventually([&] { return sum().value("settled", 0) == kEvents; }, std::chrono::seconds(30)))
      << sum().dump();
  EXPECT_EQ(sum().value("accepted", 0), kEvents);
  EXPECT_EQ(sum().value("pending", -1), 0);
  EXPECT_TRUE(
      Eventually([&] { return function()["status"]["scaling"]["desired"] == 0; }, std::chrono::seconds(20)))
      << function().dump(1);
}

// An environment in which there is no database of time zones, so that only where a schedule runs it is found to be wrong.
class WithoutTimeZones {
 public:
  WithoutTimeZones() { ::setenv("TZDIR", "/nowhere", 1); }
  ~WithoutTimeZones() { ::unsetenv("TZDIR"); }
};

TEST_F(CliEventsTest, ATriggerThatGetsNoEventsIsNamedInTheConditionWithItsReason) {
  Add("lost", "echo_plain",
      "  triggers:\n  - {name: noon, cron: {schedule: '0 12 * * *', timeZone: Mars/Olympus}}\n");
  const WithoutTimeZones without;
  const auto up = Up();
  EXPECT_THAT(up->out(), HasSubstr("problem: trigger noon: ")) << "as soon as it is ready";
  const auto condition = [&] {
    const Json json = Json::parse(Run({"get", "lost", "-o", "json"}));
    for (const Json& of : json["status"]["conditions"]) {
      if (of["type"] == "TriggersReady") return of;
    }
    return Json::object();
  };
  EXPECT_TRUE(Eventually([&] { return condition().value("reason", "") == "SourceNotReady"; }))
      << condition().dump();
  EXPECT_THAT(condition().value("message", ""), HasSubstr("trigger noon: "));
  EXPECT_THAT(condition().value("message", ""), HasSubstr("Mars/Olympus"));
  EXPECT_THAT(Run({"get", "lost"}), HasSubstr("\nProblem: SourceNotReady: trigger noon: "));
  EXPECT_THAT(Run({"get"}), HasSubstr("SourceNotReady: trigger noon: "));
  EXPECT_THAT(Run({"why", "lost"}), HasSubstr("TriggersReady: False (SourceNotReady) trigger noon: "));
}

TEST_F(CliEventsTest, ATimeZoneThatDoesNotExistIsAMistakeOfTheManifest) {
  Add("lost", "echo_plain",
      "  triggers:\n  - {name: noon, cron: {schedule: '0 12 * * *', timeZone: Mars/Olympus}}\n");
  const auto up = Up();
  EXPECT_THAT(up->out(), HasSubstr("cannot serve: "));
  EXPECT_THAT(up->out(), HasSubstr("lost.yaml:7:"));
  EXPECT_THAT(up->out(), HasSubstr("there is no time zone \"Mars/Olympus\""));
}

}  // namespace
}  // namespace mayfly
