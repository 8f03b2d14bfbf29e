// What is damaged is kept, beside what takes its place, as FILE.damaged-TIME.
#pragma once

#include <string>

#include "base/status.h"

namespace mayfly::gateway {

// Moves a database and what belongs to it away; returns its new name.
absl::StatusOr<std::string> SetAside(const std::string& path);

// Copies a database and its log, onto the disk; returns the new name of the first. kFailedPrecondition if there is no room, or
// another reason: the message says what to do. `why` is what is damaged.
absl::StatusOr<std::string> CopyAside(const std::string& path, const std::string& why);

}  // namespace mayfly::gateway
