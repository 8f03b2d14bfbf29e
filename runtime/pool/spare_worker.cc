#include "runtime/pool/spare_worker.h"

#include <poll.h>

#include <utility>

#include "runtime/ipc/control.h"

namespace mayfly::runtime {
namespace {

bool Lives(const SpawnedProgram& program) {
  pollfd ended{program.pidfd.get(), POLLIN, 0};
  return ::poll(&ended, 1, 0) == 0;
}

}  // namespace

SpareWorker::SpareWorker(const std::string& program) {
  absl::StatusOr<SpawnedProgram> spawned = SpawnSpareProgram(program);
  if (spawned.ok()) spare_ = *std::move(spawned);
}

SpareWorker::~SpareWorker() {
  if (spare_) EndChild(spare_->pid);
}

std::optional<SpawnedProgram> SpareWorker::Take(const ipc::LaunchBlock& launch) {
  const std::lock_guard lock(mutex_);
  std::optional<SpawnedProgram> taken = std::exchange(spare_, std::nullopt);
  if (!taken) return std::nullopt;
  if (Lives(*taken) && WriteLaunch(taken->launch_memory.get(), launch).ok() &&
      ipc::SendGo(taken->control.get())) {
    return taken;
  }
  EndChild(taken->pid);
  return std::nullopt;
}

}  // namespace mayfly::runtime
