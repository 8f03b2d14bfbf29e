#include <httplib.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/instance.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::json;

struct TriggerOptions {
  std::string target;
  int times = 1;
  int port = 0;
};

// "[namespace/]function/trigger" as the page of its sample.
absl::StatusOr<std::string> PageOf(const std::string& target) {
  const std::vector<std::string> parts = absl::StrSplit(target, '/');
  const bool full = parts.size() == 3;
  if ((!full && parts.size() != 2) || parts.back().empty() || parts[parts.size() - 2].empty())
    return absl::InvalidArgumentError("the target is a function and its trigger, as in orders/github");
  const std::string key = KeyOf(full ? absl::StrCat(parts[0], "/", parts[1]) : parts[0]);
  return absl::StrCat("/v1/functions/", key, "/triggers/", parts.back(), "/sample");
}

int Test(const TriggerOptions& options) {
  const absl::StatusOr<std::string> page = PageOf(options.target);
  if (!page.ok()) return Fail(page.status(), kExitUsage);
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return Fail(instance.status(), ExitCodeOf(instance.status()));
  httplib::Client client(instance->url());
  client.set_url_encode(false);
  for (int n = 0; n < options.times; ++n) {
    const absl::StatusOr<std::string> text = instance->Get(*page);
    if (!text.ok()) return Fail(text.status(), ExitCodeOf(text.status()));
    const Json sample = Json::parse(*text, nullptr, false);
    if (!sample.is_object())
      return Fail(absl::InternalError("`mayfly up` answers with nonsense"), kExitFailed);
    httplib::Request request;
    request.method = sample.value("method", "POST");
    request.path = sample.value("path", "/");
    request.body = sample.value("body", "");
    for (const Json& header : sample.value("headers", Json::array()))
      request.set_header(header[0].get<std::string>().c_str(), header[1].get<std::string>().c_str());
    const httplib::Result result = client.send(request);
    if (!result) return Fail(absl::UnavailableError("the gateway gave no answer"), kExitNothingRuns);
    // Headers have signatures, and tokens, in them: they are not shown.
    std::fprintf(stderr, "%s %s: %d\n", request.method.c_str(), request.path.c_str(), result->status);
    std::fputs(result->body.c_str(), stdout);
    if (!result->body.empty() && result->body.back() != '\n') std::fputs("\n", stdout);
    if (result->status >= 400) return kExitFunctionFailed;
  }
  return kExitOk;
}

}  // namespace

void AddTrigger(CLI::App& app, Action& action) {
  CLI::App* const trigger = app.add_subcommand("trigger", "Try triggers: test");
  trigger->require_subcommand(1);
  const auto options = std::make_shared<TriggerOptions>();
  CLI::App* const test = trigger->add_subcommand(
      "test", "Send what a trigger gets: a realistic sample, signed where it is signed");
  test->add_option("FUNCTION/TRIGGER", options->target,
                   "A trigger: function/trigger or namespace/function/trigger")
      ->required()
      ->type_name("");
  test->add_option("-n", options->times, "How often")->check(CLI::Range(1, 10'000))->type_name("N");
  test->add_option("--port,-p", options->port, "Port of the `mayfly up` to ask; needed if several run")
      ->type_name("PORT");
  test->callback([&action, options] { action = [options] { return Test(*options); }; });
  trigger->footer(
      "Examples:\n"
      "  mayfly trigger test orders/github\n"
      "  mayfly trigger test tick/every-minute && mayfly events tick\n"
      "Exits with 5 if the answer's status is 400 or more.");
}

}  // namespace mayfly::cli
