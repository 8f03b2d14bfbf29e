// Bounds how many processes and threads a fork server and its workers can be together.
//
// RLIMIT_NPROC counts what one user has in one user namespace (Linux 5.14), and never holds for the true root. So a
// process of root takes a real user id that nobody else has and stays root in all that files are asked for; any other
// goes into a user namespace of its own, with the ids that it had.
#pragma once

#include <cstdint>
#include <string>

namespace mayfly::worker {

// To be called while the process still has its capabilities. Where neither can be had (a pod whose seccomp profile forbids
// user namespaces), `note` says so, and only the machine's own limits hold.
void LimitTasks(std::uint32_t most, std::string& note);

}  // namespace mayfly::worker
