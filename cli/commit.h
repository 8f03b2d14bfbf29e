// The commit that this program was built from.
#pragma once

namespace mayfly::cli {

extern const char kCommit[];  // "" if it was not built in a checkout

}  // namespace mayfly::cli
