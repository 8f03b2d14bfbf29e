#include "runtime/worker/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/worker/oom_killer.h"
#include "runtime/worker/sandbox_filter.h"
#include "runtime/worker/sandbox_landlock.h"
#include "runtime/worker/sandbox_tasks.h"

namespace mayfly::worker {
namespace {

constexpr rlim_t kMaxDescriptors = 4096;
constexpr rlim_t kMaxFileBytes = rlim_t{1} << 30;
// Above the resident limit, which the runtime watches: what is allocated and never touched costs nothing, and
// each thread's stack counts. Past this, allocations fail.
constexpr rlim_t kDataSlack = rlim_t{256} << 20;

void Limit(decltype(RLIMIT_CORE) resource, rlim_t value) {
  rlimit limit;
  if (getrlimit(resource, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, value);
  limit = {wanted, wanted};
  setrlimit(resource, &limit);
}

void DropCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  syscall(SYS_capset, &header, none);
}

}  // namespace

bool EnterSandbox(const ipc::LaunchBlock& launch, std::string& problem) {
  OfferToOomKiller();
  umask(022);  // the runtime's is for its own files; a handler's may be meant for others
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_NOFILE, kMaxDescriptors);
  Limit(RLIMIT_FSIZE, kMaxFileBytes);
  signal(SIGXFSZ, SIG_IGN);
  Limit(RLIMIT_DATA, launch.memory_bytes + kDataSlack);
  std::string note;
  LimitTasks(launch.max_tasks, note);
  if (!note.empty()) fprintf(stderr, "%s\n", note.c_str());
  note.clear();
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    problem = std::string("cannot set no_new_privs: ") + strerror(errno);
    return false;
  }
  DropCapabilities();
  RestrictFiles(launch.module_path, launch.temporary_folder, note);
  if (!note.empty()) fprintf(stderr, "%s\n", note.c_str());
  return LoadFilter(problem);
}

}  // namespace mayfly::worker
