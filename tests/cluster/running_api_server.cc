#include "tests/cluster/running_api_server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace mayfly::testing {
namespace {

constexpr char kProgram[] = MAYFLY_SOURCE_DIR "/tests/cluster/apiserver";
// Longer than its own deadlines, so that its own words are heard.
constexpr int kPatienceSeconds = 120;

}  // namespace

absl::StatusOr<RunningApiServer> RunningApiServer::Start(const std::vector<std::string>& arguments) {
  // A socket pair: a write to a child that died is then an error, and no signal.
  int input[2] = {-1, -1};
  int output[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, input) != 0 || pipe2(output, O_CLOEXEC) != 0) {
    return absl::InternalError(absl::StrCat("no pipes for ", kProgram, ": ", strerror(errno)));
  }
  std::vector<std::string> words = {kProgram};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input[1], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  RunningApiServer server;
  const int error = posix_spawn(&server.pid_, kProgram, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(input[1]);
  close(output[1]);
  server.input_ = input[0];
  server.output_ = output[0];
  if (error != 0) {
    server.pid_ = -1;
    return absl::InternalError(absl::StrCat(kProgram, " does not start: ", strerror(error)));
  }
  absl::StatusOr<std::string> line = server.ReadLine(kPatienceSeconds);
  if (!line.ok()) return line.status();
  absl::string_view path = *line;
  if (!absl::ConsumePrefix(&path, "ready "))
    return absl::InternalError(absl::StrCat(kProgram, " said: ", *line));
  server.kubeconfig_ = std::string(path);
  return server;
}

RunningApiServer::RunningApiServer(RunningApiServer&& other) noexcept { *this = std::move(other); }

RunningApiServer& RunningApiServer::operator=(RunningApiServer&& other) noexcept {
  if (this != &other) {
    Stop();
    pid_ = std::exchange(other.pid_, -1);
    input_ = std::exchange(other.input_, -1);
    output_ = std::exchange(other.output_, -1);
    unread_ = std::move(other.unread_);
    kubeconfig_ = std::move(other.kubeconfig_);
  }
  return *this;
}

RunningApiServer::~RunningApiServer() { Stop(); }

absl::Status RunningApiServer::Command(const std::string& line) {
  const std::string text = absl::StrCat(line, "\n");
  if (send(input_, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) {
    return absl::UnavailableError(absl::StrCat(kProgram, " takes no commands: ", strerror(errno)));
  }
  absl::StatusOr<std::string> answer = ReadLine(kPatienceSeconds);
  if (!answer.ok()) return answer.status();
  return *answer == "done" ? absl::OkStatus()
                           : absl::FailedPreconditionError(absl::StrCat(line, ": ", *answer));
}

absl::StatusOr<std::string> RunningApiServer::ReadLine(int seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (true) {
    if (const size_t end = unread_.find('\n'); end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd readable = {.fd = output_, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || poll(&readable, 1, static_cast<int>(left.count())) == 0) {
      return absl::DeadlineExceededError(absl::StrCat(kProgram, " said nothing within ", seconds, " s"));
    }
    char bytes[4096];
    const ssize_t count = read(output_, bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      return absl::UnavailableError(absl::StrCat(kProgram, " ended; its error output says why"));
    unread_.append(bytes, static_cast<size_t>(count));
  }
}

void RunningApiServer::Stop() {
  if (input_ >= 0) close(std::exchange(input_, -1));
  if (pid_ > 0) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (waitpid(pid_, nullptr, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline) kill(pid_, SIGKILL);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    pid_ = -1;
  }
  if (output_ >= 0) close(std::exchange(output_, -1));
}

}  // namespace mayfly::testing
