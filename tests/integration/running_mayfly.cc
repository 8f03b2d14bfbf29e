#include "tests/integration/running_mayfly.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/testing/eventually.h"

namespace mayfly::testing {
namespace {

namespace fs = std::filesystem;

constexpr char kProgram[] = MAYFLY_BIN_DIR "/mayfly";

// The TMPDIR of what a test runs.
std::string TemporaryFolder(const std::string& run_dir) { return run_dir + ".tmp"; }

// Starts the program with its three streams as given.
pid_t Start(const std::string& run_dir, const std::vector<std::string>& arguments, const std::string& folder,
            int in, int out, int err) {
  std::vector<std::string> words{kProgram};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::error_code ignored;
  fs::create_directories(TemporaryFolder(run_dir), ignored);
  std::vector<std::string> variables{"MAYFLY_RUN_DIR=" + run_dir, "TMPDIR=" + TemporaryFolder(run_dir)};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text(*variable);
    if (!text.starts_with("MAYFLY_") && !text.starts_with("PORT=") && !text.starts_with("TMPDIR=")) {
      variables.push_back(text);
    }
  }
  std::vector<char*> envp;
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  pid_t pid = -1;
  if (posix_spawn(&pid, kProgram, &actions, nullptr, argv.data(), envp.data()) != 0) pid = -1;
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t size = 0; (size = ::read(fd, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(size));
  return text;
}

}  // namespace

Ran RunMayfly(const std::string& run_dir, const std::vector<std::string>& arguments,
              const std::string& folder, const std::string& input) {
  int in[2];
  int out[2];
  int err[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) return {};
  const pid_t pid = Start(run_dir, arguments, folder, in[0], out[1], err[1]);
  for (const int fd : {in[0], out[1], err[1]}) ::close(fd);
  (void)!::write(in[1], input.data(), input.size());
  ::close(in[1]);
  Ran ran;
  {
    std::jthread reader([&] { ran.err = ReadAll(err[0]); });
    ran.out = ReadAll(out[0]);
  }
  ::close(out[0]);
  ::close(err[0]);
  int status = 0;
  if (::waitpid(pid, &status, 0) == pid && WIFEXITED(status)) ran.exit_code = WEXITSTATUS(status);
  return ran;
}

RunningMayfly::RunningMayfly(const std::string& run_dir, const std::vector<std::string>& arguments,
                             const std::string& folder)
    : run_dir_(run_dir) {
  int out[2];
  int err[2];
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) return;
  const int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  pid_ = Start(run_dir, arguments, folder, in, out[1], err[1]);
  for (const int fd : {in, out[1], err[1]}) ::close(fd);
  out_reader_ = std::jthread([this, fd = out[0]] { Read(fd, out_); });
  err_reader_ = std::jthread([this, fd = err[0]] { Read(fd, err_); });
}

RunningMayfly::~RunningMayfly() {
  deaf_ = false;
  deaf_.notify_all();
  if (!waited_ && pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::error_code error;
  for (fs::directory_iterator it(TemporaryFolder(run_dir_), error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().filename().string().starts_with("mayfly"))
      ADD_FAILURE() << "nobody ever removes " << it->path();
  }
}

void RunningMayfly::Read(int fd, std::string& into) {
  char buffer[4096];
  for (ssize_t size = 0; (size = ::read(fd, buffer, sizeof buffer)) > 0;) {
    {
      const std::lock_guard lock(mutex_);
      into.append(buffer, static_cast<std::size_t>(size));
    }
    if (&into == &err_) deaf_.wait(true);
  }
  ::close(fd);
}

bool RunningMayfly::WaitUntilReady(std::chrono::milliseconds within) {
  static constexpr char kReady[] = "mayfly: ready ";
  return base::Eventually(
      [this] {
        const std::string text = out();
        const std::size_t at = text.find(kReady);
        const std::size_t end = at == std::string::npos ? at : text.find('\n', at);
        if (end == std::string::npos) return false;
        url_ = text.substr(at + sizeof kReady - 1, end - at - sizeof kReady + 1);
        return true;
      },
      within);
}

int RunningMayfly::port() const { return std::atoi(url_.substr(url_.rfind(':') + 1).c_str()); }

void RunningMayfly::Signal(int number) const { ::kill(pid_, number); }

int RunningMayfly::Wait(std::chrono::milliseconds within) {
  int status = 0;
  if (!base::Eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, within)) return -1000;
  waited_ = true;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string RunningMayfly::out() const {
  const std::lock_guard lock(mutex_);
  return out_;
}

std::string RunningMayfly::err() const {
  const std::lock_guard lock(mutex_);
  return err_;
}

std::vector<pid_t> PidsWith(const std::string& text) {
  std::vector<pid_t> pids;
  std::error_code error;
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    const pid_t pid = std::atoi(it->path().filename().c_str());
    if (pid <= 0 || pid == ::getpid()) continue;
    const std::ifstream file(it->path() / "cmdline", std::ios::binary);
    // An iterator over the file would throw if the process ends meanwhile.
    std::ostringstream line;
    line << file.rdbuf();
    if (line.str().find(text) != std::string::npos) pids.push_back(pid);
  }
  return pids;
}

int ProcessesWith(const std::string& text) { return static_cast<int>(PidsWith(text).size()); }

}  // namespace mayfly::testing
