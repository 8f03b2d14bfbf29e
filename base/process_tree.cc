#include "base/process_tree.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "absl/strings/str_cat.h"

namespace mayfly::base {

std::vector<pid_t> ChildrenOf(const std::string& process) {
  std::vector<pid_t> children;
  const std::string folder = absl::StrCat("/proc/", process, "/task");
  DIR* const tasks = ::opendir(folder.c_str());
  if (tasks == nullptr) return children;
  while (const dirent* const entry = ::readdir(tasks)) {
    if (entry->d_name[0] == '.') continue;
    std::ifstream file(absl::StrCat(folder, "/", entry->d_name, "/children"));
    pid_t pid = 0;
    while (file >> pid) children.push_back(pid);
  }
  ::closedir(tasks);
  return children;
}

void EndTrees(const std::vector<pid_t>& roots) {
  // A group dies as one, whatever it forks meanwhile: that is most of it, at once.
  for (const pid_t root : roots) {
    const pid_t group = ::getpgid(root);
    if (group > 1 && group != ::getpgrp()) ::kill(-group, SIGKILL);
  }
  // Stopped first: what is stopped makes no new ones, still counts where their number is bounded, and its children keep
  // their ids, as it does not wait for them.
  constexpr int kSweeps = 64;
  std::set<pid_t> stopped;
  bool more = true;
  for (int sweep = 0; more && sweep < kSweeps; ++sweep) {
    more = false;
    std::vector<pid_t> pids = roots;
    while (!pids.empty()) {
      const pid_t pid = pids.back();
      pids.pop_back();
      if (stopped.insert(pid).second) {
        ::kill(pid, SIGSTOP);
        more = true;
      }
      for (const pid_t child : ChildrenOf(absl::StrCat(pid))) pids.push_back(child);
    }
  }
  // All of them before the first is waited for: those that live keep those that are dying from their last step.
  for (const pid_t pid : stopped) ::kill(pid, SIGKILL);
  for (const pid_t root : roots) ::waitpid(root, nullptr, 0);
}

}  // namespace mayfly::base
