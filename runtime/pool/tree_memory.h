// The memory of a worker and of the processes that it started.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace mayfly::runtime {

struct TreeMemory {
  std::uint64_t bytes = 0;
  // Whether each page is known to be counted once. If not, `bytes` is an upper bound: pages that several of the processes
  // share are counted for each.
  bool exact = false;
};

// What the processes, of which the first is the worker, have resident together. Looks at shared pages one by one, which
// takes some milliseconds for each GiB, only if the upper bound is above `limit` and `may_look_closely`.
//
// Where the kernel does not let this process look closely (another user id in a container without CAP_SYS_PTRACE), what a
// child has beyond what the worker has is what counts for the child.
TreeMemory ReadTreeMemory(const std::vector<pid_t>& processes, std::uint64_t limit, bool may_look_closely);

}  // namespace mayfly::runtime
