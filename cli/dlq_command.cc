#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
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

struct DlqOptions {
  std::string name;
  std::string trigger;
  std::string reason;
  std::string id;
  bool all = false;
  int most = 100;
  bool json = false;
  int port = 0;
};

constexpr int kAtOnce = 1'000;

std::string Query(const DlqOptions& options, int most) {
  std::string query = absl::StrCat("?most=", most);
  if (!options.name.empty()) absl::StrAppend(&query, "&function=", KeyOf(options.name));
  if (!options.trigger.empty()) absl::StrAppend(&query, "&trigger=", options.trigger);
  if (!options.reason.empty()) absl::StrAppend(&query, "&reason=", options.reason);
  if (!options.id.empty()) absl::StrAppend(&query, "&id=", options.id);
  return query;
}

int List(const DlqOptions& options) {
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return Fail(instance.status(), ExitCodeOf(instance.status()));
  const absl::StatusOr<std::string> body = instance->Get("/v1/deadletters" + Query(options, options.most));
  if (!body.ok()) return Fail(body.status(), ExitCodeOf(body.status()));
  if (options.json) {
    std::printf("%s\n", body->c_str());
    return kExitOk;
  }
  const Json json = Json::parse(*body, nullptr, false);
  const Json letters = json.is_object() ? json.value("letters", Json::array()) : Json::array();
  if (letters.empty()) {
    std::puts("There are no dead letters.");
    return kExitOk;
  }
  std::printf("%-26s  %-20s  %-20s  %-8s  %-16s  %s\n", "ID", "FUNCTION", "DIED", "ATTEMPTS", "REASON",
              "EVENT");
  for (const Json& letter : letters) {
    std::printf("%-26s  %-20s  %-20s  %-8d  %-16s  %s\n", letter.value("id", "").c_str(),
                letter.value("function", "").c_str(),
                ShownTime(letter.value("died", std::int64_t{0})).c_str(), letter.value("attempts", 0),
                letter.value("reason", "").c_str(), letter.value("event", "").c_str());
  }
  return kExitOk;
}

// Makes a date of Unix milliseconds.
void ShowTime(Json& json, const char* key) {
  if (json.is_object() && json.contains(key) && json[key].is_number_integer())
    json[key] = ShownTime(json[key].get<std::int64_t>());
}

int Show(const DlqOptions& options) {
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return Fail(instance.status(), ExitCodeOf(instance.status()));
  const absl::StatusOr<std::string> body = instance->Get("/v1/deadletters/" + options.id);
  if (!body.ok()) return Fail(body.status(), ExitCodeOf(body.status()));
  Json json = Json::parse(*body, nullptr, false);
  for (const char* const time : {"accepted", "died"}) ShowTime(json, time);
  if (json.is_object() && json.contains("history")) {
    for (Json& attempt : json["history"]) ShowTime(attempt, "at");
  }
  std::printf("%s\n", json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  return kExitOk;
}

// `what` is redrive or purge, `done` its participle.
int Change(const DlqOptions& options, const std::string& what, const char* done) {
  if (options.id.empty() && options.name.empty() && !options.all) {
    return Fail(absl::InvalidArgumentError("say which: an ID, --function NAME, or --all"), kExitUsage);
  }
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return Fail(instance.status(), ExitCodeOf(instance.status()));
  std::size_t sum = 0;
  for (;;) {
    const absl::StatusOr<std::string> body =
        instance->Post(absl::StrCat("/v1/deadletters/", what, Query(options, kAtOnce)));
    if (!body.ok()) return Fail(body.status(), ExitCodeOf(body.status()));
    const Json json = Json::parse(*body, nullptr, false);
    const std::size_t count = json.is_object() ? json.value("count", std::size_t{0}) : 0;
    sum += count;
    if (count < kAtOnce) break;
  }
  if (sum == 0 && !options.id.empty()) {
    return Fail(absl::NotFoundError(absl::StrCat("there is no dead letter ", options.id,
                                                 ": `mayfly dlq list` lists what there is")),
                kExitNotFound);
  }
  std::printf("%zu %s %s\n", sum, sum == 1 ? "dead letter" : "dead letters", done);
  return kExitOk;
}

void AddSelection(CLI::App& command, DlqOptions& options) {
  command.add_option("--function", options.name, "Those of this function: name or namespace/name")
      ->type_name("NAME");
  command.add_option("--trigger", options.trigger, "Those of this trigger")->type_name("NAME");
  command.add_option("--reason", options.reason, "Those given up for this reason")->type_name("REASON");
}

void AddPort(CLI::App& command, DlqOptions& options) {
  command.add_option("--port,-p", options.port, "Port of the `mayfly up` to ask; needed if several run")
      ->type_name("PORT");
}

}  // namespace

void AddDlq(CLI::App& app, Action& action) {
  CLI::App* const dlq = app.add_subcommand("dlq", "Events that were given up: list, show, redrive, purge");
  dlq->require_subcommand(1);
  const auto options = std::make_shared<DlqOptions>();
  CLI::App* const list = dlq->add_subcommand("list", "List dead letters, oldest first");
  AddSelection(*list, *options);
  list->add_option("-n", options->most, "How many at most")->check(CLI::Range(1, kAtOnce))->type_name("N");
  list->add_flag("--json", options->json, "As JSON");
  AddPort(*list, *options);
  list->callback([&action, options] { action = [options] { return List(*options); }; });

  CLI::App* const show = dlq->add_subcommand("show", "Show one with its history and data");
  show->add_option("ID", options->id, "As `mayfly dlq list` names it")->required()->type_name("");
  AddPort(*show, *options);
  show->callback([&action, options] { action = [options] { return Show(*options); }; });

  CLI::App* const redrive = dlq->add_subcommand("redrive", "Have dead letters delivered again");
  redrive->add_option("ID", options->id, "One of them")->type_name("");
  AddSelection(*redrive, *options);
  redrive->add_flag("--all", options->all, "All there are");
  AddPort(*redrive, *options);
  redrive->callback(
      [&action, options] { action = [options] { return Change(*options, "redrive", "redriven"); }; });

  CLI::App* const purge = dlq->add_subcommand("purge", "Forget dead letters");
  purge->add_option("ID", options->id, "One of them")->type_name("");
  AddSelection(*purge, *options);
  purge->add_flag("--all", options->all, "All there are");
  AddPort(*purge, *options);
  purge->callback([&action, options] { action = [options] { return Change(*options, "purge", "purged"); }; });
  dlq->footer(
      "Examples:\n"
      "  mayfly dlq list --function orders\n"
      "  mayfly dlq redrive --function orders     once the handler is mended\n"
      "  mayfly dlq purge --all");
}

}  // namespace mayfly::cli
