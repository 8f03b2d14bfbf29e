// `mayfly up` as a user has it: the real program, real runtimes, real workers.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "tests/integration/running_mayfly.h"

namespace mayfly {
namespace {

using base::Eventually;
using base::TempDir;
using base::WriteFile;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::PidsWith;
using testing::ProcessesWith;
using testing::RunningMayfly;
using ::testing::StartsWith;
namespace fs = std::filesystem;

class CliUpTest : public ::testing::Test {
 protected:
  CliUpTest() {
    fs::create_directory(temp_ / "f");
    // What a worker's command line shows: unique, so that no other test's processes are counted.
    space_ = absl::StrCat("t", ::getpid(), "-", counter_++);
  }

  // A function at /NAME, whose module is test module `module`, copied beside the manifest.
  void Add(const std::string& name, const std::string& module, const std::string& more = "") {
    CopyModule(module, name);
    WriteManifest(name, more);
  }
  void WriteManifest(const std::string& name, const std::string& more = "") {
    WriteFile(temp_ / "f/.new",
              absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: ", name,
                           ", namespace: ", space_, "}\nspec:\n  artifact: {path: ", name, ".so}\n", more));
    fs::rename(temp_ / "f/.new", temp_ / absl::StrCat("f/", name, ".yaml"));
  }
  void CopyModule(const std::string& module, const std::string& name) {
    // In place, as linkers write.
    const fs::path to = temp_ / absl::StrCat("f/", name, ".so");
    fs::copy_file(fs::path(MAYFLY_TEST_MODULE_DIR) / (module + ".so"), to,
                  fs::copy_options::overwrite_existing);
  }

  void Up() {
    mayfly_ = std::make_unique<RunningMayfly>(temp_ / "run",
                                              std::vector<std::string>{"up", "--port", "0", temp_ / "f"});
    ASSERT_TRUE(mayfly_->WaitUntilReady()) << mayfly_->out() << mayfly_->err();
  }
  httplib::Client Client() const {
    httplib::Client client(mayfly_->url());
    client.set_read_timeout(30);
    client.set_keep_alive(true);
    return client;
  }
  std::string Ask(const std::string& path, const std::string& body = "") {
    httplib::Client client = Client();
    const httplib::Result result =
        body.empty() ? client.Get(path.c_str()) : client.Post(path.c_str(), body, "text/plain");
    return result ? absl::StrCat(result->status, " ", result->body) : httplib::to_string(result.error());
  }

  TempDir temp_;
  std::string space_;
  std::unique_ptr<RunningMayfly> mayfly_;
  static inline int counter_ = 0;
};

// Sends requests on several connections until it is stopped.
class Load {
 public:
  Load(const std::string& url, const std::string& path, int connections) {
    for (int i = 0; i < connections; ++i) {
      threads_.emplace_back([this, url, path](const std::stop_token& stop) {
        httplib::Client client(url);
        client.set_keep_alive(true);
        client.set_tcp_nodelay(true);
        client.set_read_timeout(30);
        while (!stop.stop_requested()) {
          const httplib::Result result = client.Post(path.c_str(), "body", "text/plain");
          ++sent_;
          if (result && result->status == 200) continue;
          const std::lock_guard lock(mutex_);
          failures_.push_back(result ? absl::StrCat(result->status, " ", result->body)
                                     : httplib::to_string(result.error()));
        }
      });
    }
  }
  void Stop() { threads_.clear(); }
  int sent() const { return sent_; }
  std::vector<std::string> failures() {
    const std::lock_guard lock(mutex_);
    return failures_;
  }

 private:
  std::atomic<int> sent_{0};
  std::mutex mutex_;
  std::vector<std::string> failures_;
  std::vector<std::jthread> threads_;
};

TEST_F(CliUpTest, SaysHowToCallEachFunctionAndThenThatItIsReady) {
  Add("echo", "echo_plain", "  triggers: [{name: api, http: {path: '/say/{what}', methods: [POST]}}]\n");
  Up();
  const std::string out = mayfly_->out();
  EXPECT_THAT(out, HasSubstr(absl::StrCat("curl -d hello ", mayfly_->url(), "/say/1\n")));
  EXPECT_TRUE(out.ends_with(absl::StrCat("mayfly: ready ", mayfly_->url(), "\n"))) << out;
  EXPECT_EQ(Ask("/say/1", "hello"), "200 hello");
}

TEST_F(CliUpTest, EveryCurlLineOfTheExamplesWorks) {
  mayfly_ = std::make_unique<RunningMayfly>(
      temp_ / "run", std::vector<std::string>{"up", "--port", "0", "examples/"}, MAYFLY_SOURCE_DIR);
  ASSERT_TRUE(mayfly_->WaitUntilReady()) << mayfly_->out() << mayfly_->err();
  // From the folder in which it was started, but for what the lines write.
  fs::create_directory_symlink(fs::path(MAYFLY_SOURCE_DIR) / "examples", temp_ / "examples");
  // What the README's first screen shows is what is printed.
  std::ifstream readme(fs::path(MAYFLY_SOURCE_DIR) / "README.md");
  std::vector<std::string> shown;
  bool within = false;
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("```")) {
      if (!within) shown.clear();
      within = !within;
    } else if (within && line != "  …" && !line.empty()) {
      shown.push_back(absl::StrReplaceAll(line, {{"http://127.0.0.1:8080", mayfly_->url()}}));
    }
    if (within && line.starts_with("mayfly: ready ")) break;
  }
  EXPECT_GE(shown.size(), 3u);
  for (const std::string& line : shown) EXPECT_THAT(mayfly_->out(), HasSubstr(line + "\n"));

  std::istringstream lines(mayfly_->out());
  int tried = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find("curl ");
    if (at == std::string::npos) continue;
    ++tried;
    const std::string command = absl::StrCat("cd ", temp_.path(), " && ", line.substr(at),
                                             " --fail --silent --show-error --max-time 30 >answer");
    EXPECT_EQ(std::system(command.c_str()), 0) << command << mayfly_->err();
    const bool to_file = line.find(" -o ") != std::string::npos;
    EXPECT_GT(fs::file_size(temp_ / (to_file ? "thumbnail.jpg" : "answer")), 5u) << command;
  }
  EXPECT_GE(tried, 4) << mayfly_->out();
  EXPECT_THAT(mayfly_->err(), Not(HasSubstr("left threads behind")));
  EXPECT_THAT(mayfly_->err(), Not(HasSubstr("DuplicateFunction")));
}

TEST_F(CliUpTest, EndsWithinTwoSecondsWhileFunctionsAreBusyAndLeavesNothing) {
  Add("sleeps", "sleeps");
  Up();
  std::vector<std::string> answers(8);
  std::vector<std::jthread> callers;
  for (std::string& answer : answers)
    callers.emplace_back([this, &answer] { answer = Ask("/sleeps?ms=20000"); });
  ASSERT_TRUE(Eventually([&] { return ProcessesWith(space_) >= 8; }));
  const auto before = steady_clock::now();
  mayfly_->Signal(SIGINT);
  EXPECT_EQ(mayfly_->Wait(), 0) << mayfly_->err();
  EXPECT_LT(steady_clock::now() - before, seconds(2));
  callers.clear();
  for (const std::string& answer : answers) {
    EXPECT_THAT(answer, StartsWith("503 "));
    EXPECT_THAT(answer, HasSubstr("ShuttingDown"));
  }
  EXPECT_EQ(ProcessesWith(space_), 0);
  EXPECT_EQ(ProcessesWith(temp_.path()), 0);
  EXPECT_FALSE(fs::exists(temp_ / "run"));
}

TEST_F(CliUpTest, AnIdleRuntimeEndsByItselfWhenItIsInterrupted) {
  Add("echo", "echo_plain");
  Up();
  EXPECT_THAT(Ask("/echo"), StartsWith("200"));
  mayfly_->Signal(SIGINT);
  EXPECT_EQ(mayfly_->Wait(), 0) << mayfly_->err();
  // Its last line: a runtime that is killed since it takes too long does not get there.
  EXPECT_THAT(mayfly_->err(), HasSubstr("component=runtime msg=ended"));
}

TEST_F(CliUpTest, ASecondCtrlCEndsItAtOnce) {
  Add("sleeps", "sleeps");
  Up();
  std::jthread caller([this] { Ask("/sleeps?ms=20000"); });
  ASSERT_TRUE(Eventually([&] { return ProcessesWith(space_) >= 1; }));
  mayfly_->Signal(SIGINT);
  // The front door closes first: by then the first signal was taken.
  ASSERT_TRUE(Eventually([&] { return !httplib::Client(mayfly_->url()).Get("/"); }));
  mayfly_->Signal(SIGINT);
  EXPECT_EQ(mayfly_->Wait(seconds(1)), 130);
  EXPECT_TRUE(Eventually([&] { return ProcessesWith(space_) == 0 && ProcessesWith(temp_.path()) == 0; }));
  EXPECT_FALSE(fs::exists(temp_ / "run"));
}

TEST_F(CliUpTest, ServesAndEndsThoughNobodyReadsItsErrors) {
  Add("echo", "echo_plain");
  Add("floods", "floods_log");
  Up();
  mayfly_->StopReadingErrors();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Ask("/floods?lines=3000"), StartsWith("200"));
  EXPECT_THAT(Ask("/echo", "x"), StartsWith("200 x"));
  for (const pid_t pid : PidsWith(absl::StrCat("unix:", temp_.path()))) ::kill(pid, SIGKILL);
  // What reaches a runtime in the moment of its death is lost with it; the next one serves.
  EXPECT_TRUE(Eventually([this] { return Ask("/echo", "x") == "200 x"; }));
  mayfly_->Signal(SIGINT);
  EXPECT_EQ(mayfly_->Wait(seconds(5)), 0);
}

TEST_F(CliUpTest, KilledItTakesEveryProcessWithIt) {
  Add("sleeps", "sleeps");
  Up();
  std::jthread caller([this] { Ask("/sleeps?ms=20000"); });
  ASSERT_TRUE(Eventually([&] { return ProcessesWith(space_) >= 1; }));
  mayfly_->Signal(SIGKILL);
  EXPECT_EQ(mayfly_->Wait(), -SIGKILL);
  EXPECT_TRUE(Eventually([&] { return ProcessesWith(space_) == 0 && ProcessesWith(temp_.path()) == 0; }));
  // What is left are files, and the next one to start removes them.
  EXPECT_TRUE(fs::exists(temp_ / "run"));
  const std::string left = temp_ / absl::StrCat("run/", mayfly_->port());
  Up();
  EXPECT_FALSE(fs::exists(left));
}

// How far the bomb has got when the signal comes, the machine decides.
TEST_F(CliUpTest, EndsThoughAHandlerForksForEver) {
  Add("bomb", "fork_bomb");
  Up();
  std::atomic<bool> answered = false;
  std::jthread caller([&] {
    Ask("/bomb");
    answered = true;
  });
  ASSERT_TRUE(Eventually([&] { return answered || ProcessesWith(space_) >= 3; }));
  mayfly_->Signal(SIGINT);
  EXPECT_EQ(mayfly_->Wait(), 0) << mayfly_->err();
  EXPECT_EQ(ProcessesWith(space_), 0);
}

TEST_F(CliUpTest, KilledItTakesWhatHandlersHaveStartedWithIt) {
  Add("forks", "allocates");
  Up();
  std::jthread caller([this] { Ask("/forks?mb=1&fork=3&ms=60000"); });
  ASSERT_TRUE(Eventually([&] { return ProcessesWith(space_) >= 5; }));
  mayfly_->Signal(SIGKILL);
  EXPECT_EQ(mayfly_->Wait(), -SIGKILL);
  EXPECT_TRUE(Eventually([&] { return ProcessesWith(space_) == 0 && ProcessesWith(temp_.path()) == 0; }));
}

TEST_F(CliUpTest, NamesWhoHoldsATakenPort) {
  Up();
  const testing::Ran second =
      testing::RunMayfly(temp_ / "run2", {"up", "--port", absl::StrCat(mayfly_->port()), temp_ / "f"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr(absl::StrCat("process ", mayfly_->pid())));
  EXPECT_FALSE(fs::exists(temp_ / "run2"));
}

TEST_F(CliUpTest, NamesWhoHoldsTheAdminPort) {
  Up();
  const std::string taken = absl::StrCat("127.0.0.1:", mayfly_->port());
  const testing::Ran second =
      testing::RunMayfly(temp_ / "run2", {"up", "--port", "0", "--admin", taken, temp_ / "f"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr(absl::StrCat(taken, " for administration: ")));
  EXPECT_THAT(second.err, HasSubstr(absl::StrCat("process ", mayfly_->pid())));
  EXPECT_THAT(second.err, HasSubstr("choose another port"));
}

TEST_F(CliUpTest, ARouteThatAnotherFunctionHasIsNotShownAsItsOwn) {
  Add("first", "echo_plain", "  triggers: [{name: a, http: {path: /same}}]\n");
  Up();
  // The older one keeps the route, so the second is there when the program starts anew.
  Add("second", "echo_plain", "  triggers: [{name: a, http: {path: /same}}]\n");
  mayfly_->Signal(SIGINT);
  EXPECT_EQ(mayfly_->Wait(), 0);
  Up();
  const std::string out = mayfly_->out();
  EXPECT_THAT(out, HasSubstr("cannot serve: "));
  EXPECT_THAT(out, HasSubstr("belongs to function"));
  const std::string curl = absl::StrCat("curl ", mayfly_->url(), "/same\n");
  EXPECT_NE(out.find(curl), std::string::npos) << out;
  EXPECT_EQ(out.find(curl), out.rfind(curl)) << out;
}

TEST_F(CliUpTest, ChangingAManifestUnderLoadFailsNoRequest) {
  Add("config", "shows_config", "  config: {n: 0}\n");
  Up();
  Load load(mayfly_->url(), "/config", 8);
  for (int i = 1; i <= 10; ++i) {
    WriteManifest("config", absl::StrCat("  config: {n: ", i, "}\n"));
    const std::string want = absl::StrCat("{\"n\":", i, "}");
    ASSERT_TRUE(Eventually([&] { return Ask("/config") == "200 " + want; }))
        << i << ": " << Ask("/config") << mayfly_->err();
  }
  load.Stop();
  EXPECT_GT(load.sent(), 100);
  EXPECT_THAT(load.failures(), ::testing::IsEmpty()) << "of " << load.sent();
}

TEST_F(CliUpTest, WritingOverAModuleUnderLoadFailsNoRequest) {
  Add("swap", "echo_plain", "  config: {from: config}\n");
  Up();
  Load load(mayfly_->url(), "/swap", 8);
  for (int i = 1; i <= 6; ++i) {
    CopyModule(i % 2 == 1 ? "shows_config" : "echo_plain", "swap");
    const std::string want = i % 2 == 1 ? "200 {\"from\":\"config\"}" : "200 me";
    ASSERT_TRUE(Eventually([&] { return Ask("/swap", "me") == want; }))
        << i << ": " << Ask("/swap", "me") << mayfly_->err();
  }
  load.Stop();
  EXPECT_GT(load.sent(), 100);
  EXPECT_THAT(load.failures(), ::testing::IsEmpty()) << "of " << load.sent();
}

TEST_F(CliUpTest, AModuleThatCannotRunLeavesTheOldOneServing) {
  Add("echo", "echo_plain");
  Up();
  EXPECT_EQ(Ask("/echo", "one"), "200 one");
  WriteFile(temp_ / "f/echo.so", "this is no module");
  ASSERT_TRUE(Eventually([&] { return mayfly_->err().find("ELF") != std::string::npos; })) << mayfly_->err();
  EXPECT_EQ(Ask("/echo", "two"), "200 two");
  EXPECT_THAT(mayfly_->err(), HasSubstr(temp_ / "f/echo.so"));
  EXPECT_THAT(mayfly_->err(), Not(HasSubstr("/artifacts/")))
      << "people know their own file, not our copy of it";
  const auto table = [&] {
    return testing::RunMayfly(temp_ / "run", {"get", "--port", absl::StrCat(mayfly_->port())}).out;
  };
  EXPECT_TRUE(Eventually([&] { return table().find("the one before it serves") != std::string::npos; }))
      << table();
  EXPECT_THAT(table(), HasSubstr(temp_ / "f/echo.so")) << "people know their own file, not our copy of it";
  CopyModule("echo_plain", "echo");
  EXPECT_EQ(Ask("/echo", "three"), "200 three");
}

TEST_F(CliUpTest, FunctionsComeAndGoWithTheirManifests) {
  Up();
  EXPECT_THAT(mayfly_->out(), HasSubstr("There is no function"));
  EXPECT_THAT(Ask("/late"), HasSubstr("404"));
  Add("late", "echo_plain");
  ASSERT_TRUE(Eventually([&] { return Ask("/late", "hi") == "200 hi"; }))
      << Ask("/late", "hi") << mayfly_->err();
  fs::remove(temp_ / "f/late.yaml");
  EXPECT_TRUE(Eventually([&] { return Ask("/late", "hi").starts_with("404"); })) << Ask("/late", "hi");
  EXPECT_TRUE(Eventually([&] { return ProcessesWith(space_) == 0; }));
}

TEST_F(CliUpTest, TellsWhatIsWrongAndServesTheRest) {
  Add("good", "echo_plain");
  Add("bad", "echo_plain", "  concurency: 3\n");
  WriteManifest("unbuilt");
  WriteFile(temp_ / "f/nameless.yaml", "kind: Function\nmetadata: {name: nameless}\n");
  WriteFile(temp_ / "f/theirs.yaml", "apiVersion: serving.example/v1\nkind: Function\n");
  Up();
  EXPECT_THAT(mayfly_->out(), Not(HasSubstr("theirs")));
  EXPECT_THAT(mayfly_->out(), HasSubstr("concurency"));
  EXPECT_THAT(mayfly_->out(), HasSubstr("unbuilt.so is not there yet"));
  EXPECT_THAT(mayfly_->out(), HasSubstr("apiVersion")) << "of the manifest that has none";
  EXPECT_EQ(Ask("/good", "hi"), "200 hi");
  const std::string refused = Ask("/unbuilt", "hi");
  EXPECT_TRUE(refused.starts_with("503")) << refused;
  EXPECT_THAT(refused, HasSubstr("unbuilt.so"));
}

TEST_F(CliUpTest, WarnsOfDocumentsThatLookLikeManifestsAndAreNone) {
  WriteFile(temp_ / "f/slip.yaml",
            "# a slip\napiVersion: myfly.dev/v1alpha1\nkind: Function\nmetadata: {name: f}\n");
  WriteFile(temp_ / "f/pool.yaml",
            "apiVersion: myfly.dev/v1alpha1\nkind: RuntimePool\nmetadata: {name: p}\n");
  WriteFile(temp_ / "f/bare.yaml", "metadata: {name: f}\nspec:\n  artifact: {path: f.so}\n");
  WriteFile(temp_ / "f/theirs.yaml", "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 1}\n");
  WriteFile(temp_ / "f/template.yaml", "kind: Function\n{{ if .Values.artifact: }}\n");
  Up();
  const std::string err = mayfly_->err();
  EXPECT_THAT(err, HasSubstr("f/slip.yaml:2:13: apiVersion: "));
  EXPECT_THAT(err, HasSubstr("is not served; write mayfly.dev/v1alpha1"));
  EXPECT_THAT(err, HasSubstr("f/pool.yaml:1:13: apiVersion: "));
  EXPECT_THAT(err, HasSubstr("f/bare.yaml:1:1: apiVersion: is missing"));
  EXPECT_THAT(err, Not(HasSubstr("theirs")));
  EXPECT_THAT(err, Not(HasSubstr("template")));
  EXPECT_THAT(mayfly_->out(), Not(HasSubstr("slip")));
}

TEST_F(CliUpTest, AfterScaleToZeroNoProcessOfTheFunctionIsLeft) {
  Add("echo", "echo_plain", "  scaling: {scaleToZeroAfter: 1s}\n");
  Up();
  EXPECT_EQ(Ask("/echo", "hi"), "200 hi");
  EXPECT_GE(ProcessesWith(space_), 1);
  EXPECT_TRUE(Eventually(
      [&] { return ProcessesWith(space_) == 0 && ProcessesWith("--state-dir\0" + temp_.path()) == 0; },
      seconds(20)));
  EXPECT_EQ(Ask("/echo", "again"), "200 again");
}

TEST_F(CliUpTest, AKilledRuntimeIsReplaced) {
  Add("echo", "echo_plain");
  Up();
  EXPECT_EQ(Ask("/echo", "hi"), "200 hi");
  for (const pid_t pid : PidsWith(absl::StrCat("unix:", temp_.path()))) ::kill(pid, SIGKILL);
  EXPECT_TRUE(Eventually([&] { return Ask("/echo", "hi") == "200 hi"; })) << mayfly_->err();
}

TEST_F(CliUpTest, AWedgedRuntimeIsReplaced) {
  Add("echo", "echo_plain");
  Up();
  EXPECT_THAT(Ask("/echo", "x"), StartsWith("200"));
  for (const pid_t pid : PidsWith(absl::StrCat("unix:", temp_.path()))) ::kill(pid, SIGSTOP);
  // Pings find it; the first requests may still be given to it.
  EXPECT_TRUE(Eventually(
      [&] {
        httplib::Client client = Client();
        client.set_read_timeout(60);
        const httplib::Result result = client.Post("/echo", "x", "text/plain");
        return result && result->status == 200;
      },
      seconds(90)));
}

TEST_F(CliUpTest, ACrashCostsItsOwnRequestOnly) {
  Add("segv", "segv");
  Up();
  EXPECT_EQ(Ask("/segv", "ok").substr(0, 1), "5");
  EXPECT_THAT(mayfly_->err(), Not(HasSubstr("cannot")));
  EXPECT_EQ(mayfly_->Wait(milliseconds(0)), -1000);
}

}  // namespace
}  // namespace mayfly
