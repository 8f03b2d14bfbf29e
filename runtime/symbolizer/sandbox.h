// What is left to a process that is about to read hostile files: some memory, a second of CPU time, and the
// descriptors that it has.
#pragma once

#include <string>

namespace mayfly::symbolizer {

// Before files are opened: limits, and of files only those that a worker that runs `module_path` may read.
void LimitSelf(const std::string& module_path);

// Once they are open: no system call but those that read, map and write. False if the kernel refuses.
bool CloseSandbox();

}  // namespace mayfly::symbolizer
