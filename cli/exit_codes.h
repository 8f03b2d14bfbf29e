// What `mayfly` exits with. Scripts depend on these: they never change their meaning.
#pragma once

#include <string>

namespace mayfly::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNothingRuns = 3;
inline constexpr int kExitNotFound = 4;
inline constexpr int kExitFunctionFailed = 5;
inline constexpr int kExitBuildFailed = 6;

// The table that `mayfly help exit-codes` prints.
std::string ExitCodesText();

}  // namespace mayfly::cli
