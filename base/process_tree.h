// Ends processes that others have left, however fast they make new ones.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace mayfly::base {

// The children of a process ("self", or its id); none if it is gone.
std::vector<pid_t> ChildrenOf(const std::string& process);

// Sends SIGKILL to `roots`, their process groups other than the caller's, and all that descends from them. A fork bomb ends too, if
// the number of its processes is bounded. Reaps `roots`.
// REQUIRES: `roots` are children of this process, which nobody reaps meanwhile.
void EndTrees(const std::vector<pid_t>& roots);

}  // namespace mayfly::base
