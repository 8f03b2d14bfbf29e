// The fork server: the process that mapped the module and ran create(), and makes workers of itself.
#pragma once

#include "runtime/ipc/launch_block.h"
#include "runtime/worker/module.h"

namespace mayfly::worker {

// Answers spawn commands on `control` until the runtime closes it, and ends the process. If the module may not
// be forked, the first command turns this process itself into the worker.
[[noreturn]] void ServeForks(Module& module, const ipc::LaunchBlock& launch, int control, bool forks);

}  // namespace mayfly::worker
