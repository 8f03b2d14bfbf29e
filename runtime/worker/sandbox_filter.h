// The seccomp filter of everything that user code runs in: what it may not ask the kernel for.
//
// It refuses, it does not list what is allowed: user code is arbitrary. Three answers: an errno where code may
// cope; ENOSYS where a library knows an older way (clone3, io_uring); SIGSYS, which ends the invocation with a
// backtrace, for what only an attack would do (ptrace, process_vm_*, bpf, keyctl). Closing the descriptors that a worker
// keeps "succeeds" and does nothing.
#pragma once

#include <linux/filter.h>

#include <string>
#include <vector>

namespace mayfly::worker {

std::vector<sock_filter> BuildFilter();

// Loads it for this process and all that come of it. REQUIRES: no_new_privs is set.
bool LoadFilter(std::string& problem);

}  // namespace mayfly::worker
