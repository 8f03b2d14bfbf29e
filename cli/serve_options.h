// The options that `mayfly up` and `mayfly dev` share.
#pragma once

#include "cli/serve.h"

namespace CLI {
class App;
}

namespace mayfly::cli {

// Adds --port, --host, --by-name, --admin and --log-format to `command`. `options` must outlive the parsing.
void AddServeOptions(CLI::App& command, ServeOptions& options);

}  // namespace mayfly::cli
