#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/function_table.h"
#include "cli/instance.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

struct GetOptions {
  std::string name;
  ShowOptions show;
  int port = 0;
};

int Get(const GetOptions& options) {
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return Fail(instance.status(), ExitCodeOf(instance.status()));
  const std::string path =
      options.name.empty() ? "/v1/functions" : absl::StrCat("/v1/functions/", KeyOf(options.name));
  constexpr std::chrono::milliseconds kEvery{250};
  const absl::Status status = PrintFunctions([&] { return instance->Get(path); }, options.show, kEvery);
  return status.ok() ? kExitOk : Fail(status, ExitCodeOf(status));
}

}  // namespace

void AddGet(CLI::App& app, Action& action) {
  CLI::App* const command =
      app.add_subcommand("get", "List functions, or show one with all that is known of it");
  const auto options = std::make_shared<GetOptions>();
  command->add_option("NAME", options->name, "A function: name or namespace/name")->type_name("");
  AddShowOptions(*command, options->show);
  command->add_option("--port,-p", options->port, "Port of the `mayfly up` to ask; needed if several run")
      ->type_name("PORT");
  command->footer(
      "Examples:\n"
      "  mayfly get\n"
      "  mayfly get -w                     as replicas come and go\n"
      "  mayfly get hello -o yaml          conditions, replicas, scaling decisions");
  command->callback([&action, options] { action = [options] { return Get(*options); }; });
}

}  // namespace mayfly::cli
