// What a runtime does to its own process, and the signals that end it.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/status.h"

namespace mayfly::runtime {

// Raises the limit of open files, forbids core dumps and other processes' eyes (ptrace, /proc), and takes in orphans of
// workers, so that none outlives the runtime unseen. With `parent_death`, the kernel sends SIGHUP when the thread that
// started this process ends.
void HardenProcess(bool parent_death);

// Blocks SIGTERM, SIGINT and SIGHUP in this thread and all that it starts, for AwaitSignal(). SIGPIPE is ignored.
void BlockSignals();

// Waits for one of them until `timeout` has passed (for ever without one); which, or 0.
int AwaitSignal(std::optional<std::chrono::milliseconds> timeout);

// Ends this process and all that it and user code have started, without waiting for what runs.
[[noreturn]] void EndAtOnce();

// Makes the folder `path`, which only this user can enter, and empties it of what a killed runtime left; its absolute
// path.
absl::StatusOr<std::string> MakeEmptyFolder(const std::string& path);

// What is wrong with this process's limit of open files, if anything: with too few of them every load would fail, and the
// module be blamed. To be called after HardenProcess().
absl::Status CheckDescriptorLimit();

// Writes a byte to `fd` and closes it; nothing if it is negative.
void TellReady(int fd);

}  // namespace mayfly::runtime
