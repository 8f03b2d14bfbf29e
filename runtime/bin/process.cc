#include "runtime/bin/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/descriptor_limit.h"
#include "base/process_tree.h"
#include "runtime/pool/folder_use.h"

namespace mayfly::runtime {
namespace {

// Workers put what they keep at descriptors around 240; what listens and serves here needs some too.
constexpr rlim_t kLeastDescriptors = 512;
constexpr std::chrono::seconds kEmptyTimeout{10};

sigset_t EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  return signals;
}

}  // namespace

void HardenProcess(bool parent_death) {
  ::umask(0077);
  if (parent_death) ::prctl(PR_SET_PDEATHSIG, SIGHUP, 0, 0, 0);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  base::RaiseDescriptorLimit();
}

void BlockSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t signals = EndSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

int AwaitSignal(std::optional<std::chrono::milliseconds> timeout) {
  const sigset_t signals = EndSignals();
  while (true) {
    int signal = 0;
    if (timeout) {
      const timespec limit{timeout->count() / 1000, (timeout->count() % 1000) * 1'000'000};
      signal = ::sigtimedwait(&signals, nullptr, &limit);
    } else {
      signal = ::sigwaitinfo(&signals, nullptr);
    }
    if (signal > 0) return signal;
    if (errno != EINTR) return 0;
  }
}

void EndAtOnce() {
  constexpr int kRounds = 8;
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<pid_t> children = base::ChildrenOf("self");
    if (children.empty()) break;
    base::EndTrees(children);
  }
  ::_exit(1);
}

absl::StatusOr<std::string> MakeEmptyFolder(const std::string& path) {
  // User code of a runtime that was killed may have left anything there.
  if (!EmptyFolder(path, std::chrono::steady_clock::now() + kEmptyTimeout)) {
    return absl::FailedPreconditionError("cannot empty the folder " + path +
                                         " for temporary files; remove it by hand");
  }
  std::error_code error;
  std::filesystem::create_directories(path, error);
  std::filesystem::path absolute;
  if (!error) absolute = std::filesystem::absolute(path, error);
  if (error) {
    return absl::FailedPreconditionError("cannot make the folder " + path +
                                         " for temporary files: " + error.message());
  }
  return absolute.string();
}

absl::Status CheckDescriptorLimit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= kLeastDescriptors) return absl::OkStatus();
  return absl::FailedPreconditionError("this process may open " + std::to_string(files.rlim_cur) +
                                       " files, and needs " + std::to_string(kLeastDescriptors) +
                                       ": raise the limit (ulimit -n, LimitNOFILE= of systemd)");
}

void TellReady(int fd) {
  if (fd < 0) return;
  (void)!::write(fd, "\n", 1);
  ::close(fd);
}

}  // namespace mayfly::runtime
