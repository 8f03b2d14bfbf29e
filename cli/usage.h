// What to say about a command line that cannot be parsed.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace mayfly::cli {

// The sentence for the parser's `error`, with where to look next: the help of the command that was meant. `first` is the
// first word after the program's name; if it is no command, the sentence names the one that is closest.
std::string ExplainUsage(const CLI::App& app, const std::string& error, const std::string& first);

}  // namespace mayfly::cli
