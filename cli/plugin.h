// `kubectl mayfly`: this program called as kubectl-mayfly, which asks a cluster instead of a `mayfly up`.
#pragma once

#include <string_view>

namespace mayfly::cli {

// Whether argv[0] says so: kubectl looks for plugins by their file's name.
bool IsPlugin(std::string_view program);

// Parses the command line of the plugin, and does what it asks; returns the exit code.
int RunPlugin(int argc, char** argv);

}  // namespace mayfly::cli
