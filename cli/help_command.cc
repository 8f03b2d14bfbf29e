#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

int Help(CLI::App& app, const std::string& topic) {
  if (topic.empty()) {
    std::fputs(app.help().c_str(), stdout);
    return kExitOk;
  }
  if (topic == "exit-codes") {
    std::fputs(ExitCodesText().c_str(), stdout);
    return kExitOk;
  }
  const std::vector<const CLI::App*> commands = std::as_const(app).get_subcommands(
      [&topic](const CLI::App* each) { return each->get_name() == topic; });
  if (commands.empty()) {
    return Fail(absl::StrCat("there is no command or topic \"", topic, "\": `mayfly help` lists them"),
                kExitUsage);
  }
  std::fputs(commands.front()->help("mayfly").c_str(), stdout);
  return kExitOk;
}

}  // namespace

void AddHelp(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("help", "Explain a command, or a topic: exit-codes");
  const auto topic = std::make_shared<std::string>();
  command->add_option("TOPIC", *topic, "A command, or exit-codes")->type_name("");
  command->footer("Examples:\n  mayfly help invoke\n  mayfly help exit-codes");
  command->callback([&app, &action, topic] { action = [&app, topic] { return Help(app, *topic); }; });
}

}  // namespace mayfly::cli
