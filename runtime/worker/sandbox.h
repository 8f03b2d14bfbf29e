// What a worker gives up before user code is mapped into it.
//
// In order: resource limits, number of processes, no_new_privs, capabilities, Landlock, seccomp. A kernel without Landlock degrades
// with a line in the log; without seccomp filters the worker refuses to start.
#pragma once

#include <string>

#include "runtime/ipc/launch_block.h"

namespace mayfly::worker {

bool EnterSandbox(const ipc::LaunchBlock& launch, std::string& problem);

}  // namespace mayfly::worker
