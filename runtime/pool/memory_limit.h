// How much memory a worker may have if nobody says: one that allocates without bound must end before the machine, or
// the container that it shares with its runtime, has none left.
#pragma once

#include <cstdint>
#include <string_view>

namespace mayfly::runtime {

// A quarter of the machine's memory, or of the container's limit where that is less; at least 64 MiB.
std::uint64_t DefaultWorkerMemoryBytes();

// The same, of a machine with `machine_bytes` in a cgroup whose limit file says `cgroup_limit` ("max", a number of
// bytes, or "" if there is none).
std::uint64_t DefaultWorkerMemoryBytes(std::uint64_t machine_bytes, std::string_view cgroup_limit);

}  // namespace mayfly::runtime
