#include "runtime/pool/task_count.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "base/file_descriptor.h"

namespace mayfly::runtime {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

// Appends the numbers in a text such as "12 345 6 ". One that the buffer's end has cut is left out.
void ParsePids(std::string_view text, std::vector<pid_t>& pids) {
  while (true) {
    const std::size_t blank = text.find(' ');
    if (blank == std::string_view::npos) return;
    pid_t pid = 0;
    if (std::from_chars(text.data(), text.data() + blank, pid).ec == std::errc() && pid > 1)
      pids.push_back(pid);
    text.remove_prefix(blank + 1);
  }
}

}  // namespace

std::size_t CountTasks(pid_t pid, std::size_t enough, std::vector<pid_t>* processes) {
  std::size_t count = 0;
  std::vector<pid_t> pending{pid};
  while (!pending.empty() && count < enough) {
    char path[64];
    const pid_t process = pending.back();
    snprintf(path, sizeof(path), "/proc/%d/task", process);
    pending.pop_back();
    const std::unique_ptr<DIR, CloseFolder> tasks(opendir(path));
    if (tasks == nullptr) continue;
    if (processes != nullptr) processes->push_back(process);
    while (const dirent* task = readdir(tasks.get())) {
      if (task->d_name[0] == '.') continue;
      if (++count >= enough) return count;
      char name[64];
      snprintf(name, sizeof(name), "%.16s/children", task->d_name);
      const base::FileDescriptor children(openat(dirfd(tasks.get()), name, O_RDONLY | O_CLOEXEC));
      char text[8192];
      const ssize_t size = children ? read(children.get(), text, sizeof(text)) : 0;
      if (size > 0) ParsePids({text, static_cast<std::size_t>(size)}, pending);
      if (count + pending.size() >= enough) return enough;
    }
  }
  return count;
}

}  // namespace mayfly::runtime
