#include "base/port_holder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <vector>

namespace mayfly::base {
namespace {

namespace fs = std::filesystem;

// The inodes of sockets that listen on `port`, as a table of /proc/net has them.
void AddListeners(const char* table, std::uint16_t port, std::set<std::string>* inodes) {
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);
  const std::string wanted = fmt::format(":{:04X}", port);
  while (std::getline(file, line)) {
    std::istringstream words(line);
    const std::vector<std::string> column{std::istream_iterator<std::string>(words), {}};
    constexpr std::size_t kLocal = 1, kState = 3, kInode = 9;
    if (column.size() <= kInode || column[kState] != "0A" || !column[kLocal].ends_with(wanted)) continue;
    inodes->insert("socket:[" + column[kInode] + "]");
  }
}

// "process 4711 (nginx)", or "" if it cannot be found.
std::string FindHolder(std::uint16_t port) {
  std::set<std::string> inodes;
  AddListeners("/proc/net/tcp", port, &inodes);
  AddListeners("/proc/net/tcp6", port, &inodes);
  if (inodes.empty()) return {};
  // Processes come and go while they are looked at: whatever cannot be read is passed over.
  std::error_code error;
  for (const fs::directory_entry& process : fs::directory_iterator("/proc", error)) {
    const std::string pid = process.path().filename();
    if (!std::all_of(pid.begin(), pid.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
    std::error_code ignored;
    for (fs::directory_iterator fd(process.path() / "fd", ignored), end; !ignored && fd != end;
         fd.increment(ignored)) {
      std::error_code unreadable;
      if (!inodes.contains(fs::read_symlink(fd->path(), unreadable).string())) continue;
      std::string name;
      std::getline(std::ifstream(process.path() / "comm"), name);
      return fmt::format("process {} ({})", pid, name);
    }
  }
  return {};
}

}  // namespace

std::string DescribePortHolder(std::uint16_t port) {
  const std::string holder = FindHolder(port);
  if (holder.empty())
    return "a process that this user may not see holds the port; stop that one, or choose another port";
  return fmt::format("{} holds the port; stop it, or choose another port", holder);
}

}  // namespace mayfly::base
