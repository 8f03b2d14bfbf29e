#include "tests/chaos/process_tree.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"

namespace mayfly::chaos {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const std::string& path) {
  const std::ifstream file(path, std::ios::binary);
  // An iterator over the file would throw if the process ends meanwhile.
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Nothing if it has ended.
std::optional<Process> Read(pid_t pid) {
  const std::string stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  const std::size_t name_end = stat.rfind(") ");  // a name may hold anything
  if (name_end == std::string::npos) return std::nullopt;
  const char state = stat[name_end + 2];
  if (state == 'Z' || state == 'X') return std::nullopt;
  Process process{.pid = pid, .parent = std::atoi(stat.c_str() + name_end + 4), .command = {}};
  process.command = ReadFile(absl::StrCat("/proc/", pid, "/cmdline"));
  std::replace(process.command.begin(), process.command.end(), '\0', ' ');
  return process;
}

}  // namespace

std::vector<Process> Descendants(pid_t root) {
  std::multimap<pid_t, Process> by_parent;
  std::error_code error;
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    const pid_t pid = std::atoi(it->path().filename().c_str());
    if (pid <= 0) continue;
    if (std::optional<Process> process = Read(pid)) by_parent.emplace(process->parent, *std::move(process));
  }
  std::vector<Process> found;
  const auto add_children = [&](pid_t parent) {
    const auto [first, last] = by_parent.equal_range(parent);
    for (auto it = first; it != last; ++it) found.push_back(it->second);
  };
  add_children(root);
  for (std::size_t i = 0; i < found.size(); ++i) add_children(found[i].pid);
  return found;
}

bool KillIfSame(const Process& process) {
  // Once it is open, the descriptor means one process, whatever becomes of the number.
  const base::FileDescriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (!pidfd) return false;
  const std::optional<Process> now = Read(process.pid);
  if (!now || now->parent != process.parent || now->command != process.command) return false;
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) == 0;
}

std::vector<std::string> OpenDescriptors(pid_t pid) {
  std::vector<std::string> open;
  std::error_code error;
  for (fs::directory_iterator it(absl::StrCat("/proc/", pid, "/fd"), error), end; !error && it != end;
       it.increment(error)) {
    std::error_code closed;
    open.push_back(fs::read_symlink(it->path(), closed).string());
  }
  std::sort(open.begin(), open.end());
  return open;
}

}  // namespace mayfly::chaos
