#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/command.h"
#include "cli/exit_codes.h"
#include "mayfly/function.h"

namespace mayfly::cli {

void AddVersion(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("version", "Tell the program's version");
  command->footer("Example:\n  mayfly version");
  command->callback([&action] {
    action = [] {
      std::printf("mayfly %s (module ABI %u, %s)\n", MAYFLY_VERSION, MAYFLY_ABI_VERSION, __VERSION__);
      return kExitOk;
    };
  });
}

}  // namespace mayfly::cli
