#include "operator/kube/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"

extern char** environ;

namespace mayfly::kube {
namespace {

constexpr std::size_t kMaxComplaint = 2048;  // of stderr, its end

struct Pipe {
  base::FileDescriptor read;
  base::FileDescriptor write;
};

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "pipe");
  Pipe pipe{base::FileDescriptor(ends[0]), base::FileDescriptor(ends[1])};
  if (::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK) != 0) return base::ErrnoStatus(errno, "pipe");
  return pipe;
}

// posix_spawn's attributes, which must be freed.
class SpawnPlan {
 public:
  SpawnPlan(int output, int complaint) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, complaint, STDERR_FILENO);
    ::posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    // Our threads block signals, and some are ignored; a program expects neither.
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_,
                               POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

absl::StatusOr<pid_t> Start(const Subprocess& process, int output, int complaint) {
  std::vector<std::string> arguments{process.program};
  arguments.insert(arguments.end(), process.arguments.begin(), process.arguments.end());
  std::vector<std::string> environment;
  for (const auto& [name, value] : process.environment) environment.push_back(name + "=" + value);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (std::string& variable : environment) envp.push_back(variable.data());
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::string_view name = text.substr(0, text.find('='));
    const bool replaced =
        std::ranges::any_of(process.environment, [name](const auto& other) { return other.first == name; });
    if (!replaced) envp.push_back(*variable);
  }
  envp.push_back(nullptr);

  const SpawnPlan plan(output, complaint);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, process.program.c_str(), plan.actions(), plan.attributes(),
                                   argv.data(), envp.data());
  if (error != 0) return base::ErrnoStatus(error, "cannot be run");
  return pid;
}

// Appends what can be read now, within reason; whether the other end is still open.
bool Drain(int fd, std::string& text) {
  char buffer[4096];
  for (int round = 0; round < 64; ++round) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count > 0) {
      text.append(buffer, static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else {
      return count < 0 && errno == EAGAIN;
    }
  }
  return true;
}

int Reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string Complaint(const std::string& errors) {
  absl::string_view text = absl::StripAsciiWhitespace(errors);
  if (text.size() > kMaxComplaint) text.remove_prefix(text.size() - kMaxComplaint);
  return text.empty() ? "" : absl::StrCat(": ", text);
}

}  // namespace

absl::StatusOr<std::string> RunSubprocess(const Subprocess& process, base::MonotonicTime deadline) {
  absl::StatusOr<Pipe> output = MakePipe();
  if (!output.ok()) return output.status();
  absl::StatusOr<Pipe> complaint = MakePipe();
  if (!complaint.ok()) return complaint.status();
  const absl::StatusOr<pid_t> pid = Start(process, output->write.get(), complaint->write.get());
  if (!pid.ok()) return pid.status();
  output->write.Reset();
  complaint->write.Reset();

  std::string text;
  std::string errors;
  std::optional<absl::Status> failure;
  bool output_open = true;
  bool complaint_open = true;
  while (output_open && !failure) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      failure = absl::DeadlineExceededError("did not end in time");
      break;
    }
    pollfd waits[2] = {{output->read.get(), POLLIN, 0},
                       {complaint_open ? complaint->read.get() : -1, POLLIN, 0}};
    if (::poll(waits, 2, static_cast<int>(std::min<std::int64_t>(left.count(), 60'000))) < 0 &&
        errno != EINTR) {
      failure = base::ErrnoStatus(errno, "poll");
    }
    output_open = Drain(output->read.get(), text);
    if (complaint_open) complaint_open = Drain(complaint->read.get(), errors);
    if (errors.size() > 2 * kMaxComplaint) errors.erase(0, errors.size() - kMaxComplaint);
    if (text.size() > process.max_output) {
      failure = absl::AbortedError(absl::StrCat("wrote more than ", process.max_output, " bytes"));
    }
  }
  if (failure) {
    ::kill(-*pid, SIGKILL);
    Reap(*pid);
    return absl::Status(failure->code(), absl::StrCat(failure->message(), Complaint(errors)));
  }
  // It closed its output, and is about to end or hangs: the rest of its time is for that.
  siginfo_t info{};
  while (std::chrono::steady_clock::now() < deadline) {
    if (::waitid(P_PID, static_cast<id_t>(*pid), &info, WEXITED | WNOWAIT | WNOHANG) != 0 || info.si_pid != 0)
      break;
    ::poll(nullptr, 0, 1);
  }
  const bool hangs = info.si_pid == 0;
  if (hangs) ::kill(-*pid, SIGKILL);
  const int status = Reap(*pid);
  Drain(complaint->read.get(), errors);
  if (hangs) return absl::DeadlineExceededError(absl::StrCat("did not end in time", Complaint(errors)));
  if (WIFSIGNALED(status)) {
    return absl::AbortedError(absl::StrCat("was killed by signal ", WTERMSIG(status), Complaint(errors)));
  }
  if (WEXITSTATUS(status) != 0) {
    return absl::AbortedError(absl::StrCat("ended with exit code ", WEXITSTATUS(status), Complaint(errors)));
  }
  return text;
}

}  // namespace mayfly::kube
