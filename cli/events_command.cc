#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/event_times.h"
#include "cli/exit_codes.h"
#include "cli/instance.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;

struct EventsOptions {
  std::string name;
  int most = 20;
  bool json = false;
  int port = 0;
};

void PrintSums(const Json& sums) {
  std::printf("%-20s  %-14s  %10s  %10s  %8s  %8s\n", "FUNCTION", "TRIGGER", "ACCEPTED", "SETTLED", "DEAD",
              "PENDING");
  for (const Json& sum : sums) {
    std::printf("%-20s  %-14s  %10llu  %10llu  %8llu  %8llu\n", sum.value("function", "").c_str(),
                sum.value("trigger", "").c_str(), sum.value("accepted", 0ULL), sum.value("settled", 0ULL),
                sum.value("deadLettered", 0ULL), sum.value("pending", 0ULL));
    if (const std::string problem = sum.value("problem", ""); !problem.empty())
      std::printf("    problem: %s\n", problem.c_str());
  }
}

int Events(const EventsOptions& options) {
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return Fail(instance.status(), ExitCodeOf(instance.status()));
  std::string path = absl::StrCat("/v1/events?most=", options.most);
  if (!options.name.empty()) absl::StrAppend(&path, "&function=", KeyOf(options.name));
  const absl::StatusOr<std::string> body = instance->Get(path);
  if (!body.ok()) return Fail(body.status(), ExitCodeOf(body.status()));
  if (options.json) {
    std::printf("%s\n", body->c_str());
    return kExitOk;
  }
  const Json json = Json::parse(*body, nullptr, false);
  if (!json.is_object()) return Fail(absl::InternalError("`mayfly up` answers with nonsense"), kExitFailed);
  const Json sums = json.value("sums", Json::array());
  if (sums.empty()) {
    std::puts("There were no events yet.");
    return kExitOk;
  }
  PrintSums(sums);
  const Json events = json.value("events", Json::array());
  if (events.empty()) return kExitOk;
  std::printf("\n%-26s  %-20s  %-8s  %-20s  %-8s  %s\n", "PENDING", "FUNCTION", "STATE", "DUE", "ATTEMPTS",
              "EVENT");
  for (const Json& event : events) {
    std::printf("%-26s  %-20s  %-8s  %-20s  %-8d  %s\n", event.value("id", "").c_str(),
                event.value("function", "").c_str(), event.value("state", "").c_str(),
                ShownTime(event.value("due", std::int64_t{0})).c_str(), event.value("attempts", 0),
                event.value("event", "").c_str());
  }
  return kExitOk;
}

}  // namespace

void AddEvents(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("events", "Show what became of events, and which are pending");
  const auto options = std::make_shared<EventsOptions>();
  command->add_option("NAME", options->name, "The function: name or namespace/name; all if absent")
      ->type_name("");
  command->add_option("-n", options->most, "How many pending ones at most")
      ->check(CLI::Range(1, 1'000))
      ->type_name("N");
  command->add_flag("--json", options->json, "As JSON");
  command->add_option("--port,-p", options->port, "Port of the `mayfly up` to ask; needed if several run")
      ->type_name("PORT");
  command->footer(
      "Examples:\n"
      "  mayfly events\n"
      "  mayfly events orders -n 100");
  command->callback([&action, options] { action = [options] { return Events(*options); }; });
}

}  // namespace mayfly::cli
