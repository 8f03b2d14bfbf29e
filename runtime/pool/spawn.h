// Starting mayfly-worker programs, and what a parent may know about its children.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "base/status.h"
#include "runtime/ipc/launch_block.h"

namespace mayfly::runtime {

// A mayfly-worker that was started: it maps the module, runs create(), and speaks on `control`.
struct SpawnedProgram {
  pid_t pid = 0;
  base::FileDescriptor pidfd;
  base::FileDescriptor control;
  base::FileDescriptor log;            // what it writes to its standard output and error
  base::FileDescriptor launch_memory;  // begins with its CrashReport
};

// Starts `program` in a process group of its own, with nothing of this process but the three pipes it is
// given. The kernel kills it when the calling *thread* ends: call it on one that lives as long as the program should.
absl::StatusOr<SpawnedProgram> SpawnWorkerProgram(const std::string& program, const ipc::LaunchBlock& launch);

// The same, but `launch` is to be written into its launch memory later, and ipc::SendGo() to say so.
absl::StatusOr<SpawnedProgram> SpawnSpareProgram(const std::string& program);

// Writes `launch` into the memory, which is empty, and seals its size.
absl::Status WriteLaunch(int memory, const ipc::LaunchBlock& launch);

// Starts `program` in a process group of its own, with `descriptors` as its 0, 1, … and no others, and with no
// environment. `arguments` begin with its name.
absl::StatusOr<pid_t> StartProgram(const std::string& program, std::vector<std::string> arguments,
                                   std::initializer_list<int> descriptors);

// Whether `pid` is a child of this process, dead or alive, that was not reaped.
bool IsOwnChild(pid_t pid);

// A pipe whose read end does not block: {read, write}.
absl::StatusOr<std::pair<base::FileDescriptor, base::FileDescriptor>> MakeLogPipe();

// Ends `group` and its members at once. REQUIRES: its leader was not reaped, or `group` is 0: nothing happens then.
void KillGroup(pid_t group);

// Ends a child of this process and its group, and reaps it.
void EndChild(pid_t pid);

// What KillGroup does, for a group whose leader was reaped: that number may be another process's by now.
void KillRest(pid_t group);

// Reaps what has died in `group`; whether anything of it is left.
bool ReapGroup(pid_t group);

// CPU time that the process has used so far; 0 if it cannot be read.
std::chrono::microseconds CpuTime(pid_t pid);
std::chrono::microseconds CpuTime(const rusage& usage);

// Resident bytes now, and the highest so far (0 if unknown).
std::uint64_t ResidentBytes(pid_t pid);
std::uint64_t PeakResidentBytes(pid_t pid);

}  // namespace mayfly::runtime
