#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/instance.h"
#include "cli/terminal.h"
#include "cli/why.h"

namespace mayfly::cli {
namespace {

struct WhyOptions {
  std::string name;
  int port = 0;
};

int Why(const WhyOptions& options) {
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return Fail(instance.status(), ExitCodeOf(instance.status()));
  const absl::StatusOr<std::string> body = instance->Get(absl::StrCat("/v1/functions/", KeyOf(options.name)));
  if (!body.ok()) return Fail(body.status(), ExitCodeOf(body.status()));
  const auto json = nlohmann::json::parse(*body, nullptr, false);
  if (!json.is_object()) return Fail(absl::InternalError("`mayfly up` answers with nonsense"), kExitFailed);
  std::vector<WhyEvent> events;
  for (const auto& event : json.value("events", nlohmann::json::array()))
    events.push_back({event.value("time", ""), event.value("reason", ""), event.value("message", "")});
  std::fputs(WhyText(*body, std::move(events)).c_str(), stdout);
  return kExitOk;
}

}  // namespace

void AddWhy(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand(
      "why", "Say why a function is as it is: conditions, scaling, what failed last, events");
  const auto options = std::make_shared<WhyOptions>();
  command->add_option("NAME", options->name, "The function: name or namespace/name")
      ->required()
      ->type_name("");
  command->add_option("--port,-p", options->port, "Port of the `mayfly up` to ask; needed if several run")
      ->type_name("PORT");
  command->footer(
      "Examples:\n"
      "  mayfly why hello");
  command->callback([&action, options] { action = [options] { return Why(*options); }; });
}

}  // namespace mayfly::cli
