// mayfly: native functions on this machine.
#include <CLI/CLI.hpp>
#include <csignal>

#include "base/lock_checks.h"
#include "cli/command.h"
#include "cli/plugin.h"
#include "cli/usage.h"

int main(int argc, char** argv) {
  mayfly::base::SkipLockChecks();
  using namespace mayfly::cli;  // NOLINT: this is the program's front page
  std::signal(SIGPIPE, SIG_IGN);
  if (argc > 0 && IsPlugin(argv[0])) return RunPlugin(argc, argv);
  CLI::App app("mayfly runs native functions: shared objects that answer events.", "mayfly");
  app.require_subcommand(0, 1);
  app.set_version_flag("--version", "mayfly " MAYFLY_VERSION);
  app.footer(
      "Examples:\n"
      "  mayfly up examples/            serve a folder of functions\n"
      "  mayfly new greeter             make a project\n"
      "  mayfly dev greeter             serve it, and build it again on every change\n"
      "  mayfly invoke greeter -d Ada   call it, and see what that cost\n"
      "Each command explains itself: mayfly COMMAND --help");
  Action action;
  AddCommands(app, action);
  return ParseAndRun(app, action, argc, argv);
}
