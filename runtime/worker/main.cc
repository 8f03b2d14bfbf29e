// mayfly-worker: the only process that runs user code. Started by a WorkerPool; see fork_server.h, serve.h.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/utf8.h"
#include "runtime/ipc/control.h"
#include "runtime/worker/crash.h"
#include "runtime/worker/fork_server.h"
#include "runtime/worker/host.h"
#include "runtime/worker/sandbox.h"

namespace {

using mayfly::ipc::LaunchBlock;
using mayfly::ipc::ServerMessage;
using mayfly::ipc::ServerMessageKind;

std::uint64_t NowMicroseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

void SetText(ServerMessage& message, const std::string& text) {
  const std::string_view cut = mayfly::base::CutUtf8(text, sizeof(message.text));
  message.text_size = static_cast<std::uint32_t>(cut.size());
  memcpy(message.text, cut.data(), cut.size());
}

[[noreturn]] void Refuse(int control, const std::string& reason, const std::string& problem) {
  ServerMessage message{};
  message.kind = ServerMessageKind::kRefused;
  SetText(message, reason + '\0' + problem);
  mayfly::ipc::SendMessage(control, message);
  _exit(1);
}

std::size_t CountThreads() {
  DIR* tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return 1;
  std::size_t count = 0;
  while (const dirent* task = readdir(tasks)) {
    if (task->d_name[0] != '.') ++count;
  }
  closedir(tasks);
  return count;
}

// Maps what the runtime handed over, once it is there; the crash report at its start stays mapped.
char* TakeLaunchBlock(int control, LaunchBlock& launch) {
  struct stat info;
  if (fstat(mayfly::ipc::kInheritedLaunchFd, &info) != 0) return nullptr;
  if (!mayfly::ipc::AwaitGo(control)) _exit(1);  // nobody needed this process
  if (fstat(mayfly::ipc::kInheritedLaunchFd, &info) != 0) return nullptr;
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size < mayfly::ipc::kLaunchTextOffset) return nullptr;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, mayfly::ipc::kInheritedLaunchFd, 0);
  close(mayfly::ipc::kInheritedLaunchFd);
  if (memory == MAP_FAILED) return nullptr;
  char* begin = static_cast<char*>(memory);
  if (!mayfly::ipc::Decode(begin + mayfly::ipc::kLaunchTextOffset, size - mayfly::ipc::kLaunchTextOffset,
                           launch)) {
    return nullptr;
  }
  // User code has no business with it.
  munmap(begin + mayfly::ipc::kLaunchTextOffset, size - mayfly::ipc::kLaunchTextOffset);
  return begin;
}

// What ps shows as the argument.
void SetLabel(char* argument, const std::string& label) {
  const std::size_t room = strlen(argument);
  memset(argument, 0, room);
  memcpy(argument, label.data(), std::min(label.size(), room));
}

void SetEnvironment(const LaunchBlock& launch) {
  clearenv();
  setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
  setenv("HOME", launch.temporary_folder.c_str(), 1);
  setenv("TMPDIR", launch.temporary_folder.c_str(), 1);
  setenv("LANG", "C.UTF-8", 1);
  for (const auto& [name, value] : launch.environment) setenv(name.c_str(), value.c_str(), 1);
}

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int control = fcntl(mayfly::ipc::kInheritedControlFd, F_DUPFD_CLOEXEC, mayfly::ipc::kControlFd);
  close(mayfly::ipc::kInheritedControlFd);
  LaunchBlock launch;
  char* shared = control < 0 ? nullptr : TakeLaunchBlock(control, launch);
  if (shared == nullptr) {
    fputs("mayfly-worker is started by mayfly-runtime, not by people.\n", stderr);
    return 2;
  }
  if (argc > 1) SetLabel(argv[1], launch.label);
  if (getppid() != launch.runtime_pid) return 1;

  SetEnvironment(launch);
  mayfly::worker::InstallCrashHandlers();
  mayfly::worker::SetCrashReport(reinterpret_cast<mayfly::ipc::CrashReport*>(shared));
  setvbuf(stdout, nullptr, _IOLBF, 0);
  std::string reason;
  std::string problem;
  if (launch.sandbox && !mayfly::worker::EnterSandbox(launch, problem))
    Refuse(control, "SandboxFailed", problem);

  const std::uint64_t begun = NowMicroseconds();
  mayfly::worker::Module module;
  if (!module.Map(launch.module_path, launch.handler, mayfly::worker::Host(), reason, problem)) {
    Refuse(control, reason, problem);
  }
  const std::uint64_t mapped = NowMicroseconds();
  if (!module.Create(mayfly::worker::Host(), launch.config_json, reason, problem)) {
    Refuse(control, reason, problem);
  }
  const bool forks = module.may_fork() && CountThreads() == 1;
  ServerMessage ready{};
  ready.kind = ServerMessageKind::kReady;
  ready.flags = forks ? mayfly::ipc::kReadyForks : 0;
  ready.map_us = mapped - begun;
  ready.init_us = NowMicroseconds() - mapped;
  SetText(ready, module.handler_name());
  if (!mayfly::ipc::SendMessage(control, ready)) return 1;
  mayfly::worker::ServeForks(module, launch, control, forks);
}
