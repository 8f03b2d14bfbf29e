#include "operator/local/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/process_tree.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace mayfly::op {
namespace {

// The pids that StartChild() made and ReapChild() has not seen yet. Held while a child is made, so that
// nobody takes it for an orphan before it is here.
struct Registry {
  std::mutex mutex;
  std::set<pid_t> children;
};

Registry& TheRegistry() {
  static auto* registry = new Registry;
  return *registry;
}

std::atomic<bool> adopting{false};

int PidfdOpen(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// What the child needs, ready before it is made: between vfork and exec it may only make system calls.
struct Plan {
  const char* program;
  char* const* arguments;
  char* const* environment;
  const char* folder;  // null: stay
  int input;
  int output;
  int ready;
  bool own_session;
  pid_t parent;
};

[[noreturn]] void Become(const Plan& plan, volatile int* failure) {
  const auto fail = [failure] {
    *failure = errno;
    ::_exit(127);
  };
  if (plan.own_session) ::setsid();
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail();
  if (::getppid() != plan.parent) ::_exit(127);  // it died before the line above
  // The system call, as sanitizers keep books on sigaction() in memory that is still shared with the parent.
  // All zero is SIG_DFL without flags; signals that cannot be set refuse it, which is fine.
  const unsigned long kernel_action[4] = {};
  for (int number = 1; number < NSIG; ++number) {
    ::syscall(SYS_rt_sigaction, number, kernel_action, nullptr, sizeof(unsigned long));
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (plan.folder != nullptr && ::chdir(plan.folder) != 0) fail();
  // Sources lie above 2 (see StartChild), so no dup2 overwrites one that is still needed, save `output` in 3.
  if (::dup2(plan.input, 0) < 0) fail();
  if (plan.output >= 0 && (::dup2(plan.output, 1) < 0 || ::dup2(plan.output, 2) < 0)) fail();
  int first_closed = kReadyDescriptor;
  if (plan.ready >= 0) {
    if (plan.ready == kReadyDescriptor) {
      if (::fcntl(plan.ready, F_SETFD, 0) != 0) fail();
    } else if (::dup2(plan.ready, kReadyDescriptor) < 0) {
      fail();
    }
    ++first_closed;
  }
  // What libraries opened without O_CLOEXEC must not reach the child.
  ::syscall(SYS_close_range, first_closed, ~0U, 0);
  ::execve(plan.program, plan.arguments, plan.environment);
  fail();
  __builtin_unreachable();
}

// In a function of its own, so that no local of the caller lives across vfork's two returns.
[[gnu::noinline]] pid_t Spawn(const Plan& plan, volatile int* failure) {
  const pid_t pid = ::vfork();
  if (pid == 0) Become(plan, failure);
  return pid;
}

// The children of this process that StartChild() did not make.
std::vector<pid_t> Orphans(const Registry& registry) {
  std::vector<pid_t> orphans = base::ChildrenOf("self");
  std::erase_if(orphans, [&](pid_t pid) { return registry.children.contains(pid); });
  return orphans;
}

}  // namespace

std::string ChildExit::Sentence() const {
  if (signal == 0) return absl::StrCat("ended with exit code ", code);
  const char* const name = ::sigabbrev_np(signal);
  const char* const description = ::sigdescr_np(signal);
  return absl::StrCat("was killed by SIG", name != nullptr ? name : "?", " (",
                      description != nullptr ? description : "unknown signal", ")");
}

absl::StatusOr<Child> StartChild(const ChildOptions& options) {
  std::vector<std::string> arguments{options.program};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  std::vector<std::string> environment = options.environment;
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(environment);

  // F_DUPFD_CLOEXEC gives every source a number above the ones that the child moves them to.
  const base::FileDescriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return base::ErrnoStatus(errno, "cannot open /dev/null");
  constexpr int kAbove = kReadyDescriptor + 1;
  const base::FileDescriptor input(::fcntl(null.get(), F_DUPFD_CLOEXEC, kAbove));
  base::FileDescriptor output;
  base::FileDescriptor ready;
  if (options.output >= 0) output.Reset(::fcntl(options.output, F_DUPFD_CLOEXEC, kAbove));
  if (options.ready >= 0) ready.Reset(::fcntl(options.ready, F_DUPFD_CLOEXEC, kAbove));
  if (!input || (options.output >= 0 && !output) || (options.ready >= 0 && !ready)) {
    return base::ErrnoStatus(errno, "cannot duplicate a descriptor");
  }

  const Plan plan{options.program.c_str(),
                  argument_pointers.data(),
                  environment_pointers.data(),
                  options.folder.empty() ? nullptr : options.folder.c_str(),
                  input.get(),
                  output.get(),
                  ready.get(),
                  options.own_session,
                  ::getpid()};
  volatile int failure = 0;
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  const pid_t pid = Spawn(plan, &failure);
  if (pid < 0) return base::ErrnoStatus(errno, absl::StrCat("cannot start ", options.program));
  if (failure != 0) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return base::ErrnoStatus(failure, absl::StrCat("cannot run ", options.program));
  }
  base::FileDescriptor pidfd(PidfdOpen(pid));
  if (!pidfd) {
    const int why = errno;
    ::kill(pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    return base::ErrnoStatus(why, absl::StrCat("cannot watch ", options.program));
  }
  registry.children.insert(pid);
  return Child{pid, std::move(pidfd)};
}

ChildExit ReapChild(const Child& child) {
  // The group still exists: its leader is a zombie until the next line but one.
  ::kill(-child.pid, SIGKILL);
  ChildExit exit;
  siginfo_t info{};
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(child.pidfd.get()), &info, WEXITED) == 0) {
    if (info.si_code == CLD_EXITED) {
      exit.code = info.si_status;
    } else {
      exit.signal = info.si_status;
    }
  }
  registry.children.erase(child.pid);
  return exit;
}

void AdoptOrphans() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  adopting = true;
}

void KillOrphans() {
  if (!adopting) return;
  Registry& registry = TheRegistry();
  // What an orphan leaves is handed to this process: a few rounds reach it all.
  constexpr int kRounds = 8;
  for (int round = 0; round < kRounds; ++round) {
    const std::lock_guard lock(registry.mutex);
    const std::vector<pid_t> orphans = Orphans(registry);
    if (orphans.empty()) return;
    base::EndTrees(orphans);
  }
}

void KillChildren() {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  for (const pid_t pid : registry.children) ::kill(-pid, SIGKILL);
}

std::vector<std::string> CleanEnvironment() {
  std::vector<std::string> environment;
  for (const char* const name :
       {"PATH", "HOME", "LANG", "TMPDIR", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
        "LSAN_OPTIONS",
        // How a runtime fetches modules; its workers get none of this.
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY",
        "no_proxy", "SSL_CERT_FILE"}) {
    if (const char* const value = std::getenv(name); value != nullptr) {
      environment.push_back(absl::StrCat(name, "=", value));
    }
  }
  return environment;
}

}  // namespace mayfly::op
