// The runtime as a process, with real workers: what its callers see, and what it leaves behind.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/testing/temp_dir.h"
#include "mayfly/v1/runtime.grpc.pb.h"
#include "tests/servers/server_process.h"

namespace mayfly {
namespace {

using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Asks until it is so, or ten seconds have passed; poll() on nothing keeps the processor free meanwhile.
template <typename Condition>
bool Await(Condition condition) {
  const Clock::time_point deadline = Clock::now() + seconds(10);
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    ::poll(nullptr, 0, 2);
  }
  return true;
}

class RuntimeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "elsewhere");
    // What a killed runtime leaves becomes this process' child, and so can be seen to go.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    Launch();
  }
  void TearDown() override {
    if (pid_ > 0) Kill(SIGKILL);
    EXPECT_TRUE(std::filesystem::is_empty(folder_ / "elsewhere"))
        << "whatever ends a runtime, it leaves nothing outside of its --state-dir";
  }

  void Launch() {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    std::vector<std::string> arguments = {
        MAYFLY_BIN_DIR "/mayfly-runtime", "--listen",       "unix:" + folder_ / "s", "--admin",
        "unix:" + folder_ / "admin",      "--state-dir",    folder_ / "state",       "--ready-fd",
        std::to_string(ready[1]),         "--parent-death", "--log-level",           "warn"};
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::setenv("TMPDIR", (folder_ / "elsewhere").c_str(), 1);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(ready[1]);
    pollfd poll_ready{ready[0], POLLIN, 0};
    char byte = 0;
    ASSERT_EQ(::poll(&poll_ready, 1, 20'000), 1);
    ASSERT_EQ(::read(ready[0], &byte, 1), 1) << "the runtime ended without serving";
    ::close(ready[0]);
    channel_ = grpc::CreateChannel("unix:" + folder_ / "s", grpc::InsecureChannelCredentials());
    stub_ = v1::Runtime::NewStub(channel_);
  }
  // The exit status.
  int Kill(int signal) {
    ::kill(pid_, signal);
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

  v1::LoadReply Load(const std::string& module, const std::string& revision = "r1", std::uint32_t slots = 4) {
    v1::LoadRequest request;
    request.set_path(std::string(MAYFLY_TEST_MODULE_DIR "/") + module + ".so");
    request.set_concurrency(slots);
    return Load(request, revision);
  }
  v1::LoadReply Load(v1::LoadRequest request, const std::string& revision) {
    request.set_function("default/test");
    request.set_revision(revision);
    request.set_timeout_ms(10'000);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(20));
    v1::LoadReply reply;
    const grpc::Status status = stub_->Load(&context, request, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply;
  }
  v1::InvokeReply Invoke(const std::string& body, const std::string& query = "",
                         std::uint32_t timeout_ms = 0) {
    v1::InvokeRequest request;
    request.set_body(body);
    request.set_timeout_ms(timeout_ms);
    request.mutable_event()->mutable_http()->set_method("POST");
    request.mutable_event()->mutable_http()->set_path("/");
    request.mutable_event()->mutable_http()->set_query(query);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(20));
    v1::InvokeReply reply;
    const grpc::Status status = stub_->Invoke(&context, request, &reply);
    if (!status.ok()) reply.mutable_result()->mutable_problem()->set_message(status.error_message());
    return reply;
  }
  v1::DescribeReply Describe() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(20));
    v1::DescribeReply reply;
    stub_->Describe(&context, {}, &reply);
    return reply;
  }
  std::string Metrics() {
    httplib::Client client(folder_ / "admin");
    client.set_address_family(AF_UNIX);
    const auto response = client.Get("/metrics");
    return response ? response->body : "no answer";
  }

  // Every process below this one, the runtime's own included, zombies not.
  static std::set<pid_t> Descendants() {
    std::map<pid_t, pid_t> parents;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const pid_t pid = std::atoi(entry.path().filename().c_str());
      if (pid <= 0) continue;
      std::ifstream file(entry.path() / "stat");
      std::string text;
      std::getline(file, text);
      const std::size_t after = text.rfind(')');
      char state = 0;
      pid_t parent = 0;
      if (after == std::string::npos || std::sscanf(text.c_str() + after + 1, " %c %d", &state, &parent) != 2)
        continue;
      if (state != 'Z') parents[pid] = parent;
    }
    std::set<pid_t> found;
    for (const auto& [pid, parent] : parents) {
      for (pid_t at = pid; parents.contains(at); at = parents[at]) {
        if (parents[at] == ::getpid()) found.insert(pid);
      }
    }
    return found;
  }

  base::TempDir folder_;
  pid_t pid_ = -1;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Runtime::Stub> stub_;
};

TEST_F(RuntimeTest, AnswersAndSaysWhatItCostInTheReplyAndInMetrics) {
  const v1::LoadReply loaded = Load("spins");
  ASSERT_FALSE(loaded.has_problem()) << loaded.problem().message();
  const v1::InvokeReply reply = Invoke("", "ms=30");
  ASSERT_EQ(reply.result().outcome(), v1::OUTCOME_OK) << reply.result().problem().message();
  EXPECT_GE(reply.result().metering().wall_us(), 29'000u);
  EXPECT_GE(reply.result().metering().cpu_us(), 20'000u);
  EXPECT_GT(reply.result().metering().peak_rss_bytes(), 100'000u);
  EXPECT_TRUE(reply.result().metering().cold());
  EXPECT_FALSE(Invoke("", "ms=1").result().metering().cold());
  const std::string metrics = Metrics();
  EXPECT_THAT(metrics, HasSubstr("mayfly_invocations_total{function=\"default/test\",outcome=\"ok\"} 2"));
  EXPECT_THAT(metrics, HasSubstr("mayfly_invocation_cpu_seconds_total"));
  EXPECT_THAT(metrics, HasSubstr("mayfly_runtime_load_seconds_bucket"));
}

TEST_F(RuntimeTest, ACrashCostsItsOwnInvocationOnly) {
  ASSERT_FALSE(Load("segv").has_problem());
  const v1::InvokeReply crashed = Invoke("");
  EXPECT_EQ(crashed.result().outcome(), v1::OUTCOME_CRASHED);
  EXPECT_THAT(crashed.result().problem().message(), HasSubstr("SIGSEGV"));
  ASSERT_FALSE(crashed.result().backtrace().empty());
  EXPECT_THAT(crashed.result().backtrace(0), HasSubstr("#0 harm at "));
  EXPECT_THAT(crashed.result().backtrace(0), HasSubstr("tests/modules/segv.c:8 ("));
  EXPECT_EQ(Invoke("", "ok").body(), "ok");
}

TEST_F(RuntimeTest, StopsAHandlerAtItsDeadline) {
  ASSERT_FALSE(Load("endless_loop").has_problem());
  const Clock::time_point begin = Clock::now();
  EXPECT_EQ(Invoke("", "", 200).result().outcome(), v1::OUTCOME_TIMED_OUT);
  EXPECT_LT(Clock::now() - begin, seconds(3));
  EXPECT_EQ(Invoke("", "ok").body(), "ok");
}

TEST_F(RuntimeTest, RefusesEveryBrokenModuleWithItsReasonAndKeepsServing) {
  ASSERT_FALSE(Load("echo_plain").has_problem());
  const std::vector<std::pair<std::string, std::string>> broken = {
      {"text_file", "NotElf"},
      {"empty", "NotElf"},
      {"truncated", "Truncated"},
      {"truncated_header", "Truncated"},
      {"other_class", "WrongClass"},
      {"other_architecture", "WrongArchitecture"},
      {"executable", "NotSharedObject"},
      {"missing_library", "MissingLibrary"},
      {"missing_symbol", "MissingSymbol"},
      {"newer_glibc", "NewerGlibc"},
      {"newer_glibcxx", "NewerLibstdcxx"},
      {"not_a_module", "NoModuleSymbol"},
      {"wrong_abi", "AbiMismatch"},
      {"wrong_abi_field", "AbiMismatch"},
      {"create_fails", "CreateFailed"},
      {"create_crashes", "CreateCrashed"},
      {"create_killed", "CreateKilled"},
      {"absent", "NotReadable"}};
  for (const auto& [module, reason] : broken) {
    const v1::LoadReply reply = Load(module, "broken-" + module);
    EXPECT_EQ(reply.problem().reason(), reason) << module << ": " << reply.problem().message();
    EXPECT_FALSE(reply.problem().message().empty());
  }
  EXPECT_EQ(Invoke("still here").body(), "still here");
}

TEST_F(RuntimeTest, ASwapUnderLoadFailsNothing) {
  ASSERT_FALSE(Load("echo_plain", "r0", 8).has_problem());
  std::atomic<bool> stop{false};
  std::atomic<int> good{0}, bad{0};
  std::vector<std::jthread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      while (!stop) (Invoke("x").body() == "x" ? good : bad)++;
    });
  }
  for (int i = 1; i <= 10; ++i) {
    const int before = good;
    EXPECT_FALSE(Load("echo_plain", "r" + std::to_string(i), 8).has_problem());
    ASSERT_TRUE(Await([&] { return good > before + 20; }));
  }
  stop = true;
  callers.clear();
  EXPECT_EQ(bad, 0);
}

TEST_F(RuntimeTest, SigtermLetsWhatRunsFinishAndLeavesNothing) {
  ASSERT_FALSE(Load("sleeps").has_problem());
  v1::InvokeReply reply;
  std::jthread caller([&] { reply = Invoke("", "ms=300"); });
  ASSERT_TRUE(Await([this] { return Describe().busy() == 1; }));
  EXPECT_EQ(Kill(SIGTERM), 0) << "exit code 0";
  caller.join();
  EXPECT_EQ(reply.result().outcome(), v1::OUTCOME_OK) << reply.result().problem().message();
  EXPECT_TRUE(Await([] { return Descendants().empty(); }));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "s")) << "the socket is removed";
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "state/modules"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "state/tmp")) << "the workers' TMPDIR is removed";
}

TEST_F(RuntimeTest, ASecondSignalEndsItAtOnce) {
  ASSERT_FALSE(Load("sleeps").has_problem());
  std::jthread caller([&] { Invoke("", "ms=8000"); });
  ASSERT_TRUE(Await([this] { return Describe().busy() == 1; }));
  const Clock::time_point begin = Clock::now();
  ::kill(pid_, SIGTERM);
  ASSERT_TRUE(Await([this] { return Describe().capacity().draining(); }));
  Kill(SIGTERM);
  EXPECT_LT(Clock::now() - begin, seconds(4));
  EXPECT_TRUE(Await([] { return Descendants().empty(); }));
}

TEST_F(RuntimeTest, WhenItIsKilledItsWorkersGoWithIt) {
  ASSERT_FALSE(Load("sleeps").has_problem());
  std::vector<std::jthread> callers;
  for (int i = 0; i < 3; ++i) callers.emplace_back([&] { Invoke("", "ms=8000"); });
  ASSERT_TRUE(Await([this] { return Describe().busy() == 3; }));
  EXPECT_TRUE(Await([] { return Descendants().size() >= 5; })) << "runtime, fork server, workers";
  Kill(SIGKILL);
  EXPECT_TRUE(Await([] { return Descendants().empty(); }));
}

// What `mayfly build --push` prints of an image with the module of examples/hello-c.
std::string Push(const std::string& folder, const std::string& reference) {
  const std::string source = folder + "/hello.c";
  std::filesystem::copy_file(MAYFLY_SOURCE_DIR "/examples/hello-c/hello.c", source,
                             std::filesystem::copy_options::overwrite_existing);
  const std::string command = MAYFLY_BIN_DIR "/mayfly build " + source + " --push " + reference + " 2>&1";
  FILE* const output = ::popen(command.c_str(), "r");
  std::string said;
  char buffer[1024];
  for (std::size_t size; (size = std::fread(buffer, 1, sizeof(buffer), output)) > 0;)
    said.append(buffer, size);
  EXPECT_EQ(::pclose(output), 0) << said;
  const std::size_t image = said.find("image: ");
  if (image == std::string::npos) return said;
  const std::size_t begin = image + std::string_view("image: ").size();
  return said.substr(begin, said.find_first_of(" \n", begin) - begin);
}

TEST_F(RuntimeTest, LoadsAModuleOutOfAnImageThatBuildPushed) {
  testing::ServerProcess registry({.name = "registry"});
  const absl::Status started = registry.Start();
  ASSERT_TRUE(started.ok()) << started;
  const std::string repository = "127.0.0.1:" + std::to_string(registry.port()) + "/tools/hello";
  const std::string image = Push(folder_.path(), repository + ":1");
  ASSERT_THAT(image, ::testing::StartsWith(repository + "@sha256:"));
  const auto load = [this](const std::string& reference, const std::string& revision,
                           const std::string& sha256) {
    v1::LoadRequest request;
    request.mutable_image()->set_reference(reference);
    request.set_sha256(sha256);
    request.set_fetch_wait_ms(15'000);
    return Load(request, revision);
  };
  for (const auto& [revision, reference, reason, words] : std::vector<std::array<std::string, 4>>{
           {"absent", repository + ":2", "ArtifactNotFound", "the registry has no 2 of tools/hello"},
           {"other", repository + "@sha256:" + std::string(64, 'a'), "ArtifactNotFound",
            "mend spec.artifact.image"},
           {"nowhere", "127.0.0.1:1/tools/hello:1", "ArtifactUnreachable", "does the registry run"}}) {
    const v1::LoadReply reply = load(reference, revision, "");
    EXPECT_EQ(reply.problem().reason(), reason) << reply.problem().message();
    EXPECT_THAT(reply.problem().message(), HasSubstr(words));
    EXPECT_FALSE(reply.bound());
  }
  const v1::LoadReply forged = load(image, "forged", std::string(64, 'a'));
  EXPECT_EQ(forged.problem().reason(), "DigestMismatch");
  EXPECT_THAT(forged.problem().message(), HasSubstr("spec.artifact.sha256 wants aaaa"));

  const v1::LoadReply loaded = load(image, "r1", "");
  ASSERT_FALSE(loaded.has_problem()) << loaded.problem().message();
  EXPECT_GT(loaded.fetch_us(), 0u);
  EXPECT_EQ(Invoke("", "name=Ada").body(), "Hello, Ada!\n");
  // What the registry said of an image by its digest holds for ever; of a tag it is asked again.
  registry.Kill();
  EXPECT_FALSE(load(image, "r2", "").has_problem());
  EXPECT_EQ(Invoke("", "name=Bob").body(), "Hello, Bob!\n");
}

// What another runtime says that ends by itself, and its exit code. `limit`: of files that it may open; 0: as many as this process.
struct Ended {
  int exit_code = -1;
  std::string said;
};
Ended RunToItsEnd(const std::string& state, const std::vector<std::string>& more, rlim_t limit = 0) {
  std::vector<std::string> arguments = {"mayfly-runtime", "--listen", "127.0.0.1:0", "--state-dir", state};
  arguments.insert(arguments.end(), more.begin(), more.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int output[2];
  EXPECT_EQ(::pipe(output), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const rlimit few{limit, limit};
    if (limit > 0) ::setrlimit(RLIMIT_NOFILE, &few);
    ::dup2(output[1], STDERR_FILENO);
    ::execv(MAYFLY_BIN_DIR "/mayfly-runtime", argv.data());
    ::_exit(127);
  }
  ::close(output[1]);
  Ended ended;
  char buffer[1024];
  for (ssize_t size; (size = ::read(output[0], buffer, sizeof(buffer))) > 0;)
    ended.said.append(buffer, static_cast<std::size_t>(size));
  ::close(output[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFEXITED(status)) ended.exit_code = WEXITSTATUS(status);
  return ended;
}

TEST_F(RuntimeTest, SaysThatItMayOpenTooFewFiles) {
  const Ended ended = RunToItsEnd(folder_ / "other", {}, 64);
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_THAT(ended.said, HasSubstr("may open 64 files"));
  EXPECT_THAT(ended.said, HasSubstr("ulimit -n"));
}

TEST_F(RuntimeTest, RefusesAConfigThatIsNoJson) {
  const Ended ended = RunToItsEnd(folder_ / "other", {"--module", "absent.so", "--config", "{bad"});
  EXPECT_GT(ended.exit_code, 0);
  EXPECT_THAT(ended.said, HasSubstr("--config: is no JSON"));
}

TEST_F(RuntimeTest, StartsAgainWhereOneWasKilled) {
  ASSERT_FALSE(Load("echo_plain").has_problem());
  Kill(SIGKILL);
  Launch();
  ASSERT_FALSE(Load("echo_plain").has_problem());
  EXPECT_EQ(Invoke("again").body(), "again");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "state/modules"), {}), 1);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "state/tmp"), {}), 1);
}

}  // namespace
}  // namespace mayfly
