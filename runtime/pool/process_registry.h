// The processes that belong to a pool of this process, so that no worker can pass for another's.
//
// Process-wide, because process ids are. Thread-safe.
#pragma once

#include <sys/types.h>

namespace mayfly::runtime {

class ProcessRegistry {
 public:
  // False if a pool has it already.
  static bool Add(pid_t pid);
  static void Remove(pid_t pid);
};

}  // namespace mayfly::runtime
