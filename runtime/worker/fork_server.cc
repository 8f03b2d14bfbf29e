#include "runtime/worker/fork_server.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/ipc/control.h"
#include "runtime/worker/crash.h"
#include "runtime/worker/serve.h"

namespace mayfly::worker {
namespace {

// Forks a worker whose parent will be the runtime: a process in between forks and ends. It borrows this one's
// memory (vfork), so the whole costs one real fork, with which the module's atfork handlers run.
int Fork(Module& module, const ipc::LaunchBlock& launch, const ipc::SpawnCommand& command,
         const std::array<int, ipc::kSpawnDescriptors>& fds, int control) {
  volatile int error = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const pid_t between = vfork();
#pragma GCC diagnostic pop
  if (between == 0) {
    const pid_t self = getpid();
    const pid_t worker = fork();
    if (worker == 0) Serve(module, launch, command, fds, control, self);
    if (worker < 0) error = errno;
    _exit(0);
  }
  if (between < 0) return errno;
  while (waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
  }
  return error;
}

}  // namespace

void ServeForks(Module& module, const ipc::LaunchBlock& launch, int control, bool forks) {
  // As debuggers and `pgrep` see it, beside the workers that it forks.
  if (forks) prctl(PR_SET_NAME, "mayfly-fork");
  while (true) {
    ipc::SpawnCommand command;
    std::array<int, ipc::kSpawnDescriptors> fds;
    const ipc::Received received = ipc::ReceiveCommand(control, command, fds);
    if (received == ipc::Received::kMalformed) {
      ReportProblem(
          "it cannot receive the descriptors of a new worker: the module has opened as many as a process "
          "may");
      _exit(1);
    }
    if (received != ipc::Received::kMessage) _exit(0);
    if (!forks) Serve(module, launch, command, fds, control, /*between=*/0);
    const int error = Fork(module, launch, command, fds, control);
    for (const int fd : fds) close(fd);
    if (error == 0) continue;
    ipc::ServerMessage failed{};
    failed.kind = ipc::ServerMessageKind::kForkFailed;
    failed.token = command.token;
    failed.value = error;
    ipc::SendMessage(control, failed);
  }
}

}  // namespace mayfly::worker
