#include "runtime/pool/memory_limit.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>

namespace mayfly::runtime {
namespace {

constexpr std::uint64_t kLeast = std::uint64_t{64} << 20;
constexpr std::uint64_t kShare = 4;

}  // namespace

std::uint64_t DefaultWorkerMemoryBytes(std::uint64_t machine_bytes, std::string_view cgroup_limit) {
  std::uint64_t limit = 0;
  const auto [end, error] =
      std::from_chars(cgroup_limit.data(), cgroup_limit.data() + cgroup_limit.size(), limit);
  // Version 1 writes a huge number where version 2 writes "max".
  const bool limited = error == std::errc() && limit > 0 && limit < machine_bytes;
  return std::max(kLeast, (limited ? limit : machine_bytes) / kShare);
}

std::uint64_t DefaultWorkerMemoryBytes() {
  std::string limit;
  // In a container these are its own: cgroup version 2, then 1.
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    if (std::ifstream file(path); file && std::getline(file, limit)) break;
  }
  const auto machine =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return DefaultWorkerMemoryBytes(machine, limit);
}

}  // namespace mayfly::runtime
