#include "runtime/symbolizer/sandbox.h"

#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/symbolizer/protocol.h"
#include "runtime/worker/oom_killer.h"
#include "runtime/worker/sandbox_landlock.h"

namespace mayfly::symbolizer {
namespace {

constexpr rlim_t kMaxMemoryBytes = 1u << 30;
constexpr rlim_t kMaxCpuSeconds = 1;
constexpr rlim_t kMaxDescriptors = kMaxFrames + 16;

constexpr int kAllowed[] = {
    SCMP_SYS(brk),     SCMP_SYS(clock_gettime), SCMP_SYS(close),  SCMP_SYS(exit),       SCMP_SYS(exit_group),
    SCMP_SYS(fcntl),   SCMP_SYS(fstat),         SCMP_SYS(futex),  SCMP_SYS(getrandom),  SCMP_SYS(lseek),
    SCMP_SYS(madvise), SCMP_SYS(mremap),        SCMP_SYS(munmap), SCMP_SYS(newfstatat), SCMP_SYS(pread64),
    SCMP_SYS(read),    SCMP_SYS(write),
};

void Limit(decltype(RLIMIT_CPU) resource, rlim_t value) {
  const rlimit limit{value, value};
  setrlimit(resource, &limit);
}

}  // namespace

void LimitSelf(const std::string& module_path) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  worker::OfferToOomKiller();
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_CPU, kMaxCpuSeconds);
  Limit(RLIMIT_AS, kMaxMemoryBytes);
  Limit(RLIMIT_FSIZE, 0);
  Limit(RLIMIT_NOFILE, kMaxDescriptors);
  // It is the module that says which files are read; it shall learn of none that it could not read itself.
  std::string note;
  worker::RestrictFiles(module_path, "", note);
}

bool CloseSandbox() {
  // What is refused fails with an error, not with a signal: libraries try things that they can do without.
  const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (filter == nullptr) return false;
  bool built = true;
  for (const int call : kAllowed) built = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) == 0 && built;
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    const scmp_arg_cmp no_code{.arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0};
    built = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, no_code) == 0 && built;
  }
  const bool closed = built && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return closed;
}

}  // namespace mayfly::symbolizer
