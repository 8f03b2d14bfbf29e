// The processes below one that a test started: what it may kill, and what must be gone in the end.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace mayfly::chaos {

struct Process {
  pid_t pid = -1;
  pid_t parent = -1;
  std::string command;  // its arguments, a blank between each
};

// Every living descendant of `root`; those that have ended and are not waited for yet are none.
std::vector<Process> Descendants(pid_t root);

// Kills `process` with SIGKILL if its process id still means the same process, with the same parent. False if it does not.
bool KillIfSame(const Process& process);

// What the descriptors of `pid` are open on, sorted: "socket:[4711]", a path, ...
std::vector<std::string> OpenDescriptors(pid_t pid);

}  // namespace mayfly::chaos
