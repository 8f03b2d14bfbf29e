#include "runtime/pool/tree_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/file_descriptor.h"
#include "runtime/pool/spawn.h"

namespace mayfly::runtime {
namespace {

std::size_t ReadProc(pid_t pid, const char* file, std::array<char, 4096>& text) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
  const base::FileDescriptor fd(open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t size = fd ? read(fd.get(), text.data(), text.size() - 1) : 0;
  const std::size_t length = size > 0 ? static_cast<std::size_t>(size) : 0;
  text[length] = '\0';
  return length;
}

// Each page divided by the number of processes that have it.
std::optional<std::uint64_t> ProportionalBytes(pid_t pid) {
  constexpr char kKey[] = "\nPss:";
  std::array<char, 4096> text;
  if (ReadProc(pid, "smaps_rollup", text) == 0) return std::nullopt;
  const char* at = strstr(text.data(), kKey);
  if (at == nullptr) return std::nullopt;
  return std::uint64_t{1024} * strtoull(at + sizeof(kKey) - 1, nullptr, 10);
}

// Two processes with the very same numbers are one that has just vforked another: they have one memory.
bool HaveOneMemory(pid_t a, pid_t b) {
  std::array<char, 4096> of_a;
  std::array<char, 4096> of_b;
  return ReadProc(a, "statm", of_a) > 0 && ReadProc(b, "statm", of_b) > 0 &&
         strcmp(of_a.data(), of_b.data()) == 0;
}

}  // namespace

TreeMemory ReadTreeMemory(const std::vector<pid_t>& processes, std::uint64_t limit, bool may_look_closely) {
  TreeMemory memory;
  if (processes.empty()) return memory;
  const pid_t worker = processes.front();
  const std::uint64_t own = ResidentBytes(worker);
  for (const pid_t pid : processes) memory.bytes += pid == worker ? own : ResidentBytes(pid);
  memory.exact = processes.size() == 1;
  if (memory.exact || memory.bytes <= limit || !may_look_closely) return memory;
  std::uint64_t proportional = 0;
  std::uint64_t beyond = own;
  bool all = true;
  for (const pid_t pid : processes) {
    if (pid != worker && HaveOneMemory(pid, worker)) continue;
    if (pid != worker) beyond += ResidentBytes(pid) - std::min(ResidentBytes(pid), own);
    const auto bytes = ProportionalBytes(pid);
    // One that has just ended has none.
    if (!bytes && ResidentBytes(pid) != 0) all = false;
    proportional += bytes.value_or(0);
  }
  // The worker's own pages count in full, as they do when it has no children.
  memory.bytes = all ? std::max(own, proportional) : beyond;
  memory.exact = true;
  return memory;
}

}  // namespace mayfly::runtime
