#include "runtime/worker/sandbox_tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace mayfly::worker {
namespace {

// Far above the ids that people, packages and container engines hand out; a process id is added.
constexpr uid_t kFirstTaskUser = 2'000'000'000;

bool WriteTo(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t size = static_cast<ssize_t>(strlen(text));
  const bool written = write(fd, text, static_cast<std::size_t>(size)) == size;
  close(fd);
  return written;
}

bool TakeRealUser() {
  return syscall(SYS_setresuid, kFirstTaskUser + static_cast<uid_t>(getpid()), -1, -1) == 0;
}

bool EnterUserNamespace() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWUSER) != 0) return false;
  char users[64];
  char groups[64];
  snprintf(users, sizeof(users), "%u %u 1", user, user);
  snprintf(groups, sizeof(groups), "%u %u 1", group, group);
  // Without a map the process would have no id at all; it cannot go back.
  return WriteTo("/proc/self/setgroups", "deny") && WriteTo("/proc/self/uid_map", users) &&
         WriteTo("/proc/self/gid_map", groups);
}

}  // namespace

void LimitTasks(std::uint32_t most, std::string& note) {
  if (!(geteuid() == 0 ? TakeRealUser() : EnterUserNamespace())) {
    note = std::string("the processes and threads of user code are not bounded by number here (") +
           strerror(errno) + "): set a limit from outside, such as the kubelet's podPidsLimit";
    return;
  }
  rlimit limit;
  if (getrlimit(RLIMIT_NPROC, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max = std::min<rlim_t>(limit.rlim_max, most);
  setrlimit(RLIMIT_NPROC, &limit);
}

}  // namespace mayfly::worker
