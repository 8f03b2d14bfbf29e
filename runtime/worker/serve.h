// The life of a worker: wait, run the handler, tell, and wait again.
#pragma once

#include <sys/types.h>

#include "runtime/ipc/control.h"
#include "runtime/ipc/launch_block.h"
#include "runtime/worker/module.h"

namespace mayfly::worker {

// Serves until told to leave, and ends the process. `fds` are the channel, the doorbell and the log, as a
// SpawnCommand brings them. A forked worker announces itself on `control` and waits until it is admitted. `between` is the
// process that forked it, and ends then; 0 for a worker that was not forked.
[[noreturn]] void Serve(Module& module, const ipc::LaunchBlock& launch, const ipc::SpawnCommand& command,
                        const std::array<int, ipc::kSpawnDescriptors>& fds, int control, pid_t between);

}  // namespace mayfly::worker
