// The commands that talk to a running `mayfly up`, and those that need none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "tests/integration/running_mayfly.h"

namespace mayfly {
namespace {

using base::Eventually;
using base::TempDir;
using base::WriteFile;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Ran;
using testing::RunMayfly;
using testing::RunningMayfly;
using ::testing::StartsWith;
namespace fs = std::filesystem;

class CliCommandsTest : public ::testing::Test {
 protected:
  static void Add(const TempDir& temp, const std::string& name, const std::string& module) {
    fs::create_directories(temp / "f");
    fs::copy_file(fs::path(MAYFLY_TEST_MODULE_DIR) / (module + ".so"),
                  temp / absl::StrCat("f/", name, ".so"));
    WriteFile(temp / absl::StrCat("f/", name, ".yaml"),
              absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: ", name,
                           "}\nspec: {artifact: {path: ", name, ".so}}\n"));
  }
  // One `mayfly up` for all tests of this suite.
  static void SetUpTestSuite() {
    temp_ = new TempDir;
    Add(*temp_, "echo", "echo_plain");
    Add(*temp_, "fails", "fails");
    Add(*temp_, "segv", "segv");
    Add(*temp_, "big", "big_reply");
    Add(*temp_, "streams", "streams");
    up_ = new RunningMayfly(*temp_ / "run", {"up", "--port", "0", *temp_ / "f"});
    ASSERT_TRUE(up_->WaitUntilReady()) << up_->out() << up_->err();
  }
  static void TearDownTestSuite() {
    delete up_;
    delete temp_;
  }
  static Ran Run(const std::vector<std::string>& arguments, const std::string& input = "") {
    return RunMayfly(*temp_ / "run", arguments, "", input);
  }

  static inline TempDir* temp_ = nullptr;
  static inline RunningMayfly* up_ = nullptr;
};

TEST_F(CliCommandsTest, InvokePrintsTheBodyAndWhatItCost) {
  const Ran ran = Run({"invoke", "echo", "-d", "some body"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.out, "some body");
  EXPECT_THAT(ran.err, StartsWith("OK 200, "));
  for (const char* const what : {" ms wall", " ms CPU", " MB peak", " ms in all"})
    EXPECT_THAT(ran.err, HasSubstr(what));
}

TEST_F(CliCommandsTest, SimulateComparesPoliciesOverATraceByAManifest) {
  WriteFile(*temp_ / "load.csv", "seconds,requests\n0,600\n60,0\n");
  const Ran ran = Run({"simulate", *temp_ / "load.csv", "-f", *temp_ / "f/echo.yaml", "--chart",
                       *temp_ / "c.svg", "-o", "json"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const nlohmann::json json = nlohmann::json::parse(ran.out);
  ASSERT_EQ(json["results"].size(), 3u);
  EXPECT_EQ(json["results"][0]["policy"], "mayfly");
  EXPECT_EQ(json["results"][0]["requests"], 600);
  EXPECT_TRUE(fs::exists(*temp_ / "c.svg"));
}

TEST_F(CliCommandsTest, SimulateNamesTheLineOfATraceThatIsWrong) {
  WriteFile(*temp_ / "bad.csv", "0,600\n60,many\n");
  const Ran ran = Run({"simulate", *temp_ / "bad.csv"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("bad.csv:2: \"many\" is not a number of requests"));
}

TEST_F(CliCommandsTest, InvokeTakesItsBodyFromAFileOrStandardInput) {
  WriteFile(*temp_ / "body", "from a file");
  EXPECT_EQ(Run({"invoke", "echo", "-q", "-d", "@" + *temp_ / "body"}).out, "from a file");
  EXPECT_EQ(Run({"invoke", "echo", "-q", "-d", "-"}, "from a pipe").out, "from a pipe");
  const Ran missing = Run({"invoke", "echo", "-d", "@/no/such/file"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("/no/such/file: No such file or directory"));
  const Ran folder = Run({"invoke", "echo", "-d", "@" + temp_->path()});
  EXPECT_EQ(folder.exit_code, 1);
  EXPECT_THAT(folder.err, HasSubstr("Is a directory"));
}

TEST_F(CliCommandsTest, InvokePrintsAnswersOfAnyLengthAndStreamedOnesWithWhatTheyCost) {
  const Ran big = Run({"invoke", "big", "--path", "?size=3000000"});
  EXPECT_EQ(big.exit_code, 0) << big.err;
  EXPECT_EQ(big.out.size(), 3'000'000u);
  const Ran streamed = Run({"invoke", "streams", "--path", "?chunks=3&size=10&ms=1"});
  EXPECT_EQ(streamed.exit_code, 0) << streamed.err;
  EXPECT_EQ(streamed.out, "abcdefghijklmnopqrstuvwxyzabcd");
  for (const Ran* const ran : {&big, &streamed}) {
    EXPECT_THAT(ran->err, StartsWith("OK 200, "));
    EXPECT_THAT(ran->err, HasSubstr(" ms CPU")) << "trailers tell it";
  }
}

TEST_F(CliCommandsTest, SaysThatItsOutputIsLost) {
  for (const char* const command : {"get", "invoke echo -q -d hi", "completion bash", "why echo"}) {
    const std::string line = absl::StrCat("MAYFLY_RUN_DIR=", *temp_ / "run", " ", MAYFLY_BIN_DIR, "/mayfly ",
                                          command, " >/dev/full 2>", *temp_ / "err");
    EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 1) << command;
    std::ifstream file(*temp_ / "err");
    EXPECT_THAT(std::string(std::istreambuf_iterator<char>(file), {}),
                HasSubstr("is there room where it goes?"))
        << command;
  }
}

TEST_F(CliCommandsTest, InvokeTakesAUrl) {
  EXPECT_EQ(Run({"invoke", up_->url() + "/echo", "-q", "-d", "hi"}).out, "hi");
  const Ran nobody = Run({"invoke", "http://127.0.0.1:1/x"});
  EXPECT_EQ(nobody.exit_code, 3);
  EXPECT_THAT(nobody.err, HasSubstr("does anything listen there?"));
  EXPECT_EQ(Run({"invoke", "ftp://127.0.0.1/x"}).exit_code, 4) << "it is no function";
}

TEST_F(CliCommandsTest, InvokeSaysWhyAFunctionFailed) {
  const Ran failed = Run({"invoke", "fails"});
  EXPECT_EQ(failed.exit_code, 5);
  EXPECT_THAT(failed.err, StartsWith("FAILED 500"));
  const Ran crashed = Run({"invoke", "segv"});
  EXPECT_EQ(crashed.exit_code, 5);
  EXPECT_THAT(crashed.err, HasSubstr("SIGSEGV"));
}

TEST_F(CliCommandsTest, GetListsAndShows) {
  const Ran table = Run({"get"});
  EXPECT_EQ(table.exit_code, 0);
  EXPECT_THAT(table.out, HasSubstr("NAME"));
  EXPECT_THAT(table.out, HasSubstr(up_->url() + "/echo"));
  EXPECT_EQ(Run({"get", "-o", "name"}).out, "big\necho\nfails\nsegv\nstreams\n");
  const auto json = nlohmann::json::parse(Run({"get", "echo", "-o", "json"}).out, nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["metadata"]["name"], "echo");
  EXPECT_EQ(json["status"]["url"], up_->url() + "/echo");
  const std::string yaml = Run({"get", "echo", "-o", "yaml"}).out;
  EXPECT_THAT(yaml, StartsWith("apiVersion: mayfly.dev/v1alpha1\nkind: Function\n"));
  EXPECT_THAT(yaml, HasSubstr("status: \"True\"\n")) << "a text, as in Kubernetes";
}

TEST_F(CliCommandsTest, GetTellsWhatAFunctionHasUsed) {
  const auto invocations = [&] {
    const auto json = nlohmann::json::parse(Run({"get", "echo", "-o", "json"}).out, nullptr, false);
    return json.value("/status/usage/invocations"_json_pointer, 0);
  };
  const int before = invocations();
  for (int i = 0; i < 3; ++i) Run({"invoke", "echo", "-d", "x"});
  EXPECT_TRUE(Eventually([&] { return invocations() == before + 3; })) << invocations();
  EXPECT_THAT(Run({"get"}).out, HasSubstr("INVOCATIONS  BILLED"));
}

TEST_F(CliCommandsTest, LogsShowWhatAFunctionsReplicasWrote) {
  Run({"invoke", "segv"});
  EXPECT_TRUE(Eventually([&] { return Run({"logs", "segv"}).out.find("SIGSEGV") != std::string::npos; }))
      << Run({"logs", "segv"}).out;
  const std::string last = Run({"logs", "segv", "--tail", "1"}).out;
  EXPECT_EQ(std::count(last.begin(), last.end(), '\n'), 1) << last;
}

TEST_F(CliCommandsTest, LogsFollowWhatComes) {
  RunningMayfly follower(*temp_ / "run", {"logs", "segv", "-f", "--tail", "0"});
  EXPECT_TRUE(Eventually([&] {
    Run({"invoke", "segv"});
    return follower.out().find("SIGSEGV") != std::string::npos;
  }));
}

TEST_F(CliCommandsTest, LogsOfWhatComesDoNotBeginWithWhatWas) {
  Run({"invoke", "segv"});
  ASSERT_TRUE(Eventually([&] { return Run({"logs", "segv"}).out.find("SIGSEGV") != std::string::npos; }));
  const std::string before = Run({"logs", "segv", "--tail", "2000"}).out;
  RunningMayfly follower(*temp_ / "run", {"logs", "segv", "-f", "--tail", "0"});
  ASSERT_TRUE(Eventually([&] {
    Run({"invoke", "segv"});
    return !follower.out().empty();
  }));
  const std::string first_before = before.substr(0, before.find('\n') + 1);
  EXPECT_THAT(follower.out(), Not(HasSubstr(first_before)));
}

TEST_F(CliCommandsTest, WhySaysItsConditionsAndWhatHappened) {
  Run({"invoke", "echo", "-d", "x"});
  const Ran ran = Run({"why", "echo"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("Ready: True ("));
  EXPECT_THAT(ran.out, HasSubstr("TriggersReady: True (Routed) every trigger is routed\n"));
  EXPECT_THAT(ran.out, HasSubstr("\nEvents:\n"));
  EXPECT_THAT(ran.out, HasSubstr("RevisionLoaded: "));
}

TEST_F(CliCommandsTest, NamesThatDoNotExistAreToldApart) {
  for (const char* const command : {"get", "invoke", "logs", "why"}) {
    const Ran ran = Run({command, "nobody"});
    EXPECT_EQ(ran.exit_code, 4) << command;
    EXPECT_THAT(ran.err, HasSubstr("there is no function default/nobody")) << command;
  }
}

TEST_F(CliCommandsTest, SayWhenNothingRuns) {
  const TempDir empty;
  for (const char* const command : {"get", "invoke", "logs", "why"}) {
    std::vector<std::string> arguments{command};
    if (std::string(command) != "get") arguments.emplace_back("echo");
    const Ran ran = RunMayfly(empty / "run", arguments);
    EXPECT_EQ(ran.exit_code, 3) << command;
    EXPECT_THAT(ran.err, HasSubstr("start it with `mayfly up`")) << command;
  }
}

TEST_F(CliCommandsTest, AWrongCommandLineIsRefusedWithWhereToLook) {
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"upp"},
                                                {"up", "--prot", "1"},
                                                {"invoke"},
                                                {"get", "-o", "xml"},
                                                {"simulate", "--load", "foo"},
                                                {"up", "--port", "99999"}}) {
    const Ran ran = Run(wrong);
    EXPECT_EQ(ran.exit_code, 2) << wrong.front();
    const std::string command = wrong.front() == "upp" ? "" : wrong.front() + " ";
    EXPECT_THAT(ran.err, HasSubstr("see `mayfly " + command + "--help`"));
  }
  const Ran host = Run({"up", "--host", "foo", "--port", "0"});
  EXPECT_EQ(host.exit_code, 2);
  EXPECT_THAT(host.err, HasSubstr("foo is not an IP address"));
  EXPECT_THAT(Run({"upp"}).err, HasSubstr("there is no command upp: did you mean `mayfly up`?"));
  EXPECT_THAT(Run({"lgos", "echo"}).err, HasSubstr("did you mean `mayfly logs`?"));
  EXPECT_THAT(Run({"frobnicate"}).err, StartsWith("mayfly: there is no command frobnicate\n"));
}

TEST_F(CliCommandsTest, EachCommandExplainsItselfWithExamples) {
  for (const char* const command :
       {"build", "completion", "dev", "get", "help", "invoke", "logs", "new", "up", "version", "why"}) {
    const Ran ran = Run({command, "--help"});
    EXPECT_EQ(ran.exit_code, 0) << command;
    EXPECT_THAT(ran.out, HasSubstr("Example")) << command;
    EXPECT_EQ(Run({"help", command}).exit_code, 0) << command;
  }
  EXPECT_THAT(Run({"help", "exit-codes"}).out, HasSubstr("no `mayfly up` runs here"));
  EXPECT_THAT(Run({"version"}).out, StartsWith("mayfly "));
  if (fs::exists(fs::path(MAYFLY_SOURCE_DIR) / ".git")) {
    EXPECT_THAT(Run({"version"}).out, HasSubstr("commit "));
  }
}

TEST_F(CliCommandsTest, CompletionScriptsParse) {
  for (const char* const shell : {"bash", "zsh", "fish"}) {
    const Ran ran = Run({"completion", shell});
    EXPECT_EQ(ran.exit_code, 0);
    WriteFile(*temp_ / absl::StrCat("completion.", shell), ran.out);
    const bool installed = std::system(absl::StrCat("command -v ", shell, " >/dev/null").c_str()) == 0;
    if (installed) {
      EXPECT_EQ(std::system(absl::StrCat(shell, " -n ", temp_->path(), "/completion.", shell).c_str()), 0)
          << shell;
    }
  }
}

TEST_F(CliCommandsTest, BashCompletesCommandsOptionsAndFunctions) {
  WriteFile(*temp_ / "completion.bash", Run({"completion", "bash"}).out);
  const auto complete = [](const std::string& words) {
    WriteFile(*temp_ / "try.bash",
              absl::StrCat("export PATH=", MAYFLY_BIN_DIR, ":$PATH MAYFLY_RUN_DIR=", temp_->path(),
                           "/run\n. ", temp_->path(), "/completion.bash\nCOMP_WORDS=(", words,
                           ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_mayfly\necho \"${COMPREPLY[*]}\" >",
                           temp_->path(), "/completed\n"));
    if (std::system(absl::StrCat("bash ", temp_->path(), "/try.bash").c_str()) != 0)
      return std::string("failed");
    std::ifstream file(*temp_ / "completed");
    return std::string{std::istreambuf_iterator<char>(file), {}};
  };
  EXPECT_EQ(complete("mayfly inv"), "invoke\n");
  EXPECT_EQ(complete("mayfly up --log"), "--log-format\n");
  EXPECT_EQ(complete("mayfly logs ec"), "echo\n");
  EXPECT_EQ(complete("mayfly completion z"), "zsh\n");
  EXPECT_EQ(complete("mayfly new greeter --lang r"), "rust\n");
  EXPECT_EQ(complete("mayfly get -o ''"), "json name table yaml\n");
}

}  // namespace
}  // namespace mayfly
