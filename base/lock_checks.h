// Debian builds abseil without NDEBUG, and gRPC takes absl::Mutexes: each lock then looks for cycles in a graph of all
// locks of the process, under one spin lock. That is a check for those who debug gRPC, and about a hundredth of its
// threads' time under load.
#pragma once

namespace mayfly::base {

// Switches the check off in a build for users, and leaves it on in one for debugging. Call it at the start of main(),
// before there are threads.
void SkipLockChecks();

}  // namespace mayfly::base
