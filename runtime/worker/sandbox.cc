#include "runtime/worker/sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

namespace mayfly::worker {

bool EnterSandbox(const ipc::LaunchBlock&, std::string& problem) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    problem = std::string("no_new_privs: ") + strerror(errno);
    return false;
  }
  return true;
}

}  // namespace mayfly::worker
