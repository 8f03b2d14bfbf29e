#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/instance.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

struct LogsOptions {
  std::string name;
  int tail = 100;
  bool follow = false;
  bool replica = false;
  int port = 0;
};

// Prints the lines of `body` and returns the number after which what comes is new.
std::uint64_t Print(const std::string& body, std::uint64_t after, bool with_replica) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return after;
  for (const auto& line : json.value("lines", nlohmann::json::array())) {
    const std::string prefix = with_replica ? line.value("replica", "") + " " : "";
    std::printf("%s%s\n", prefix.c_str(), line.value("text", "").c_str());
  }
  std::fflush(stdout);
  return json.value("last", after);
}

int Logs(const LogsOptions& options) {
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return Fail(instance.status(), ExitCodeOf(instance.status()));
  const std::string path = absl::StrCat("/v1/functions/", KeyOf(options.name), "/logs");
  absl::StatusOr<std::string> body = instance->Get(absl::StrCat(path, "?tail=", options.tail));
  if (!body.ok()) return Fail(body.status(), ExitCodeOf(body.status()));
  std::uint64_t last = Print(*body, 0, options.replica);
  while (options.follow && std::ferror(stdout) == 0) {
    constexpr std::chrono::milliseconds kEvery{150};
    std::this_thread::sleep_for(kEvery);
    body = instance->Get(absl::StrCat(path, "?after=", last));
    // The function, or all of it, went: that ends its log.
    if (!body.ok())
      return absl::IsNotFound(body.status()) ? kExitOk : Fail(body.status(), ExitCodeOf(body.status()));
    last = Print(*body, last, options.replica);
  }
  return kExitOk;
}

}  // namespace

void AddLogs(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("logs", "Show what a function's replicas wrote");
  const auto options = std::make_shared<LogsOptions>();
  command->add_option("NAME", options->name, "The function: name or namespace/name")
      ->required()
      ->type_name("");
  command->add_flag("-f,--follow", options->follow, "Go on with what comes, until Ctrl-C");
  command->add_option("--tail,-n", options->tail, "How many of the newest lines to begin with")
      ->check(CLI::Range(0, 2'000))
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--replica", options->replica, "Begin each line with the replica that wrote it");
  command->add_option("--port,-p", options->port, "Port of the `mayfly up` to ask; needed if several run")
      ->type_name("PORT");
  command->footer(
      "Examples:\n"
      "  mayfly logs hello\n"
      "  mayfly logs hello -f --tail 0     only what is new");
  command->callback([&action, options] { action = [options] { return Logs(*options); }; });
}

}  // namespace mayfly::cli
