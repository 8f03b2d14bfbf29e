#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/instance.h"
#include "cli/terminal.h"
#include "cli/top.h"

namespace mayfly::cli {
namespace {

struct LocalTopOptions {
  TopOptions top;
  int port = 0;
};

absl::StatusOr<TopSample> Look(const Instance& instance) {
  TopSample sample;
  const absl::StatusOr<std::string> functions = instance.Get("/v1/functions");
  if (!functions.ok()) return functions.status();
  const absl::StatusOr<std::string> metrics = instance.Get("/metrics");
  if (!metrics.ok()) return metrics.status();
  sample.at = std::chrono::steady_clock::now();
  sample.Take("local", *metrics);
  sample.functions.clear();  // of those that are gone there are metrics still
  const auto json = nlohmann::json::parse(*functions, nullptr, false);
  if (!json.is_object()) return absl::InternalError("`mayfly up` answers with nonsense");
  for (const auto& function : json.value("functions", nlohmann::json::array())) {
    const auto metadata = function.value("metadata", nlohmann::json::object());
    sample.functions.insert(absl::StrCat(metadata.value("namespace", ""), "/", metadata.value("name", "")));
  }
  std::erase_if(sample.processes["local"],
                [&](const auto& each) { return !sample.functions.contains(each.first); });
  return sample;
}

int Top(const LocalTopOptions& options) {
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return Fail(instance.status(), ExitCodeOf(instance.status()));
  const absl::Status status = ShowTop([&] { return Look(*instance); }, options.top);
  return status.ok() ? kExitOk : Fail(status, ExitCodeOf(status));
}

}  // namespace

void AddTop(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("top", "Show what functions do just now, the busiest first");
  const auto options = std::make_shared<LocalTopOptions>();
  AddTopOptions(*command, options->top);
  command->add_option("--port,-p", options->port, "Port of the `mayfly up` to ask; needed if several run")
      ->type_name("PORT");
  command->footer(
      "WAIT is how long a request waited for a slot, CPUS and MEMORY what invocations used at once, each the "
      "mean over\n"
      "the interval.\n"
      "Examples:\n"
      "  mayfly top\n"
      "  mayfly top --interval 10 --count 1    one table, of ten seconds");
  command->callback([&action, options] { action = [options] { return Top(*options); }; });
}

}  // namespace mayfly::cli
