// A SpareWorker is a mayfly-worker that runs before anybody knows which module it will map: what a start costs before the
// module matters (fork, exec, shared libraries) is over when the first Load comes.
//
// The kernel kills it with the thread that made the SpareWorker. Take() and the destructor may be called on any thread.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "runtime/ipc/launch_block.h"
#include "runtime/pool/spawn.h"

namespace mayfly::runtime {

class SpareWorker {
 public:
  // Starts it. If that fails there is none, and whoever needs a worker's program starts one, and hears why it cannot.
  explicit SpareWorker(const std::string& program);
  // Ends it, if nobody took it.
  ~SpareWorker();
  SpareWorker(const SpareWorker&) = delete;
  SpareWorker& operator=(const SpareWorker&) = delete;

  // The process, which has begun with `launch`, as SpawnWorkerProgram() would have started it. Nothing if it was taken, or
  // is dead.
  std::optional<SpawnedProgram> Take(const ipc::LaunchBlock& launch);

 private:
  std::mutex mutex_;
  std::optional<SpawnedProgram> spare_;  // guarded by mutex_
};

}  // namespace mayfly::runtime
