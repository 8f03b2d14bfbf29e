#include "runtime/pool/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "runtime/ipc/control.h"

namespace mayfly::runtime {
namespace {

// Descriptors of this process for the child, moved clear of the numbers that they will have there.
base::FileDescriptor Clear(int fd) { return base::FileDescriptor(fcntl(fd, F_DUPFD_CLOEXEC, 10)); }

std::uint64_t ReadStatus(pid_t pid, const char* file, const char* key, std::uint64_t unit) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
  const base::FileDescriptor fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) return 0;
  char text[4096];
  const ssize_t size = read(fd.get(), text, sizeof(text) - 1);
  if (size <= 0) return 0;
  text[size] = '\0';
  const char* at = strstr(text, key);
  return at == nullptr ? 0 : strtoull(at + strlen(key), nullptr, 10) * unit;
}

}  // namespace

absl::StatusOr<std::pair<base::FileDescriptor, base::FileDescriptor>> MakeLogPipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "pipe for a worker's log");
  std::pair<base::FileDescriptor, base::FileDescriptor> result{base::FileDescriptor(ends[0]),
                                                               base::FileDescriptor(ends[1])};
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return result;
}

absl::StatusOr<pid_t> StartProgram(const std::string& program, std::vector<std::string> arguments,
                                   std::initializer_list<int> descriptors) {
  std::vector<base::FileDescriptor> clear;
  for (const int fd : descriptors) clear.push_back(Clear(fd));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const int count = static_cast<int>(clear.size());
  for (int target = 0; target < count; ++target)
    posix_spawn_file_actions_adddup2(&actions, clear[static_cast<std::size_t>(target)].get(), target);
  posix_spawn_file_actions_addclosefrom_np(&actions, count);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigdefault(&attributes, &all);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  char* const environment[] = {nullptr};
  pid_t pid = 0;
  const int error = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return base::ErrnoStatus(error, "start " + program);
  return pid;
}

namespace {

base::FileDescriptor MakeLaunchMemory() {
  return base::FileDescriptor(memfd_create("mayfly-launch", MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

absl::StatusOr<SpawnedProgram> Spawn(const std::string& program, base::FileDescriptor memory) {
  SpawnedProgram spawned;
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
    return base::ErrnoStatus(errno, "socketpair");
  spawned.control.Reset(sockets[0]);
  base::FileDescriptor theirs(sockets[1]);
  const int on = 1;
  setsockopt(sockets[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
  auto log = MakeLogPipe();
  if (!log.ok()) return log.status();
  const base::FileDescriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  auto pid = StartProgram(program, {"mayfly-worker", std::string(ipc::kLabelBytes, ' ')},
                          {null.get(), log->second.get(), log->second.get(), theirs.get(), memory.get()});
  if (!pid.ok()) return pid.status();
  spawned.pid = *pid;
  spawned.pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, spawned.pid, 0)));
  if (!spawned.pidfd) {
    const int error = errno;
    EndChild(spawned.pid);
    return base::ErrnoStatus(error, "watch " + program);
  }
  spawned.log = std::move(log->first);
  spawned.launch_memory = std::move(memory);
  return spawned;
}

}  // namespace

absl::Status WriteLaunch(int memory, const ipc::LaunchBlock& launch) {
  const std::string text = ipc::Encode(launch);
  const std::size_t size = ipc::kLaunchTextOffset + text.size();
  if (ftruncate(memory, static_cast<off_t>(size)) != 0 ||
      pwrite(memory, text.data(), text.size(), ipc::kLaunchTextOffset) != static_cast<ssize_t>(text.size()) ||
      fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return base::ErrnoStatus(errno, "write what the worker is started with");
  }
  return absl::OkStatus();
}

absl::StatusOr<SpawnedProgram> SpawnWorkerProgram(const std::string& program,
                                                  const ipc::LaunchBlock& launch) {
  base::FileDescriptor memory = MakeLaunchMemory();
  if (!memory) return base::ErrnoStatus(errno, "memfd_create");
  if (absl::Status written = WriteLaunch(memory.get(), launch); !written.ok()) return written;
  absl::StatusOr<SpawnedProgram> spawned = Spawn(program, std::move(memory));
  // If it is dead already, whoever watches it finds out.
  if (spawned.ok()) static_cast<void>(ipc::SendGo(spawned->control.get()));
  return spawned;
}

absl::StatusOr<SpawnedProgram> SpawnSpareProgram(const std::string& program) {
  base::FileDescriptor memory = MakeLaunchMemory();
  if (!memory) return base::ErrnoStatus(errno, "memfd_create");
  return Spawn(program, std::move(memory));
}

void EndChild(pid_t pid) {
  KillGroup(pid);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool IsOwnChild(pid_t pid) {
  siginfo_t info;
  return pid > 1 && waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void KillGroup(pid_t group) {
  if (group <= 1) return;
  kill(-group, SIGKILL);
  kill(group, SIGKILL);
}

void KillRest(pid_t group) {
  if (group > 1) kill(-group, SIGKILL);
}

bool ReapGroup(pid_t group) {
  while (true) {
    const pid_t pid = waitpid(-group, nullptr, WNOHANG);
    if (pid > 0) continue;
    if (pid < 0 && errno == EINTR) continue;
    return pid == 0 || kill(-group, 0) == 0;
  }
}

std::chrono::microseconds CpuTime(pid_t pid) {
  // What clock_getcpuclockid() answers, which asks the kernel whether the process is there; so does the next call.
  constexpr unsigned kAllItsTime = 2;
  const auto clock = static_cast<clockid_t>((~static_cast<unsigned>(pid) << 3) | kAllItsTime);
  timespec time;
  if (clock_gettime(clock, &time) != 0) return {};
  return std::chrono::microseconds(time.tv_sec * 1'000'000 + time.tv_nsec / 1'000);
}

std::chrono::microseconds CpuTime(const rusage& usage) {
  return std::chrono::microseconds((usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 +
                                   usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

std::uint64_t ResidentBytes(pid_t pid) {
  return ReadStatus(pid, "statm", " ", static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
}

std::uint64_t PeakResidentBytes(pid_t pid) { return ReadStatus(pid, "status", "VmHWM:", 1024); }

}  // namespace mayfly::runtime
