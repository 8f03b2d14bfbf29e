#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

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
  bool watch = false;
  int port = 0;
};

int Get(const GetOptions& options) {
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return Fail(instance.status(), ExitCodeOf(instance.status()));
  const std::string path =
      options.name.empty() ? "/v1/functions" : absl::StrCat("/v1/functions/", KeyOf(options.name));
  std::string before;
  for (;;) {
    const absl::StatusOr<std::string> body = instance->Get(path);
    if (!body.ok()) return Fail(body.status(), ExitCodeOf(body.status()));
    const absl::StatusOr<std::string> text = ShowFunctions(*body, options.show);
    if (!text.ok()) return Fail(text.status());
    if (*text != before) {
      if (!before.empty() && options.show.output == "table") std::fputc('\n', stdout);
      std::fputs(text->c_str(), stdout);
      std::fflush(stdout);
      before = *text;
    }
    if (!options.watch || std::ferror(stdout) != 0) return kExitOk;
    constexpr std::chrono::milliseconds kEvery{250};
    std::this_thread::sleep_for(kEvery);
  }
}

}  // namespace

void AddGet(CLI::App& app, Action& action) {
  CLI::App* const command =
      app.add_subcommand("get", "List functions, or show one with all that is known of it");
  const auto options = std::make_shared<GetOptions>();
  command->add_option("NAME", options->name, "A function: name or namespace/name")->type_name("");
  command->add_option("-o,--output", options->show.output, "table, name, json or yaml")
      ->check(CLI::IsMember({"json", "name", "table", "yaml"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  command->add_flag("-w,--watch", options->watch, "Print again whenever something changed");
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
