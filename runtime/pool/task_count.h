// How many processes and threads a worker has become.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

namespace mayfly::runtime {

// The threads of `pid`, of its children, of theirs and so on; stops counting at `enough`. 0 if the process is gone.
// From /proc/PID/task/TID/children (proc(5)): a kernel without it (CONFIG_PROC_CHILDREN) shows the threads of `pid` only.
// `processes` gets those that were seen, `pid` first.
std::size_t CountTasks(pid_t pid, std::size_t enough, std::vector<pid_t>* processes = nullptr);

}  // namespace mayfly::runtime
