#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "cli/command.h"
#include "cli/commit.h"
#include "cli/exit_codes.h"
#include "mayfly/function.h"

namespace mayfly::cli {
namespace {

#ifdef __clang__
constexpr char kCompiler[] = "clang " __clang_version__;
#else
constexpr char kCompiler[] = "gcc " __VERSION__;
#endif

}  // namespace

void AddVersion(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("version", "Tell the program's version and commit");
  command->footer("Example:\n  mayfly version");
  command->callback([&action] {
    action = [] {
      const std::string commit = kCommit[0] == '\0' ? "" : std::string("commit ") + kCommit + ", ";
      std::printf("mayfly %s (%smodule ABI %u, %s)\n", MAYFLY_VERSION, commit.c_str(), MAYFLY_ABI_VERSION,
                  kCompiler);
      return kExitOk;
    };
  });
}

}  // namespace mayfly::cli
