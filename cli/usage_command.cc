#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/instance.h"
#include "cli/terminal.h"
#include "cli/usage_table.h"
#include "gateway/metering/usage_folder.h"

namespace mayfly::cli {
namespace {

struct UsageOptions {
  std::string name;
  std::string since;
  std::string by = "trigger";
  std::string output = "table";
  std::vector<std::string> records;
  int port = 0;
};

// The folder of the records of a running `mayfly up`, once the newest are in it.
absl::StatusOr<std::string> FolderOf(int port) {
  const absl::StatusOr<Instance> instance = Instance::Find(port);
  if (!instance.ok()) return instance.status();
  const absl::StatusOr<std::string> body = instance->Get("/v1/usage");
  if (!body.ok()) return body.status();
  const auto json = nlohmann::json::parse(*body, nullptr, false);
  if (!json.is_object() || !json.contains("folder"))
    return absl::InternalError("`mayfly up` answers with nonsense");
  return json["folder"].get<std::string>();
}

// From logs, among which other lines may be.
void ReadStandardInput(UsageTable& table) {
  for (std::string line; std::getline(std::cin, line);) {
    if (const auto record = gateway::ParseUsageRecord(line); record.ok()) table.Add(*record);
  }
}

int Usage(const UsageOptions& options) {
  UsageTableOptions of;
  of.by = options.by == "trigger"    ? UsageBy::kTrigger
          : options.by == "function" ? UsageBy::kFunction
                                     : UsageBy::kNamespace;
  if (!options.name.empty()) of.function = KeyOf(options.name);
  if (!options.since.empty()) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const absl::StatusOr<std::int64_t> since =
        ParseSince(options.since, std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
    if (!since.ok()) return Fail(since.status(), kExitUsage);
    of.since_ms = *since;
  }
  UsageTable table(of);
  std::vector<std::string> paths = options.records;
  if (paths.empty()) {
    absl::StatusOr<std::string> folder = FolderOf(options.port);
    if (!folder.ok()) return Fail(folder.status(), ExitCodeOf(folder.status()));
    paths.push_back(*std::move(folder));
  }
  for (const std::string& path : paths) {
    if (path == "-") {
      ReadStandardInput(table);
      continue;
    }
    const absl::Status status =
        gateway::ReadUsage(path, [&table](const gateway::UsageRecord& record) { table.Add(record); });
    if (!status.ok()) return Fail(status, ExitCodeOf(status));
  }
  std::fputs(table.Show(options.output).c_str(), stdout);
  return kExitOk;
}

}  // namespace

void AddUsage(CLI::App& app, Action& action) {
  CLI::App* const command =
      app.add_subcommand("usage", "Add up what functions have used, from the usage records");
  const auto options = std::make_shared<UsageOptions>();
  command->add_option("NAME", options->name, "A function: name or namespace/name; default: all")
      ->type_name("");
  command->add_option("--since", options->since, "Only what was used since: 90m, 24h, 7d, a day or a time")
      ->type_name("TIME");
  command->add_option("--by", options->by, "One row for each trigger, function or namespace")
      ->check(CLI::IsMember({"function", "namespace", "trigger"}))
      ->type_name("WHAT")
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "table or json")
      ->check(CLI::IsMember({"json", "table"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  command
      ->add_option(
          "--records", options->records,
          "Files or folders of records to read, - for standard input, instead of those of a `mayfly up`")
      ->type_name("PATH");
  command->add_option("--port,-p", options->port, "Port of the `mayfly up` to ask; needed if several run")
      ->type_name("PORT");
  command->footer(
      "Examples:\n"
      "  mayfly usage                      by trigger, since the first record\n"
      "  mayfly usage --by namespace --since 24h\n"
      "  kubectl logs -n mayfly-system -l app.kubernetes.io/component=gateway --tail=-1 | mayfly usage "
      "--records -");
  command->callback([&action, options] { action = [options] { return Usage(*options); }; });
}

}  // namespace mayfly::cli
