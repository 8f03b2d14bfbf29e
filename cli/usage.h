// From a command line to what it asks for, or to what to say if it cannot be parsed.
#pragma once

#include <string>

#include "cli/command.h"

namespace mayfly::cli {

// The sentence for the parser's `error`, with where to look next: the help of the command that was meant. `first` is the
// first word after the program's name; if it is no command, the sentence names the one that is closest.
std::string ExplainUsage(const CLI::App& app, const std::string& error, const std::string& first);

// Parses the command line and runs the `action` that it has set; help where it names no command. Returns the exit code.
int ParseAndRun(CLI::App& app, const Action& action, int argc, char** argv);

}  // namespace mayfly::cli
