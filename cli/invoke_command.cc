#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/http_call.h"
#include "cli/instance.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

struct InvokeOptions : CallOptions {
  std::string target;
  int port = 0;
};

struct Target {
  std::string origin;  // "http://127.0.0.1:8080"
  std::string path;
};

absl::StatusOr<Target> FindTarget(const InvokeOptions& options) {
  if (absl::StartsWith(options.target, "http://") || absl::StartsWith(options.target, "https://")) {
    const std::size_t slash = options.target.find('/', options.target.find("//") + 2);
    if (slash == std::string::npos) return Target{options.target, options.path.empty() ? "/" : options.path};
    return Target{options.target.substr(0, slash), options.target.substr(slash) + options.path};
  }
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return instance.status();
  // A name that does not exist is told apart from a function's own 404.
  const std::string key = KeyOf(options.target);
  if (absl::StatusOr<std::string> known = instance->Get(absl::StrCat("/v1/functions/", key)); !known.ok()) {
    return known.status();
  }
  std::string path = options.path;
  if (!path.empty() && path.front() != '/' && path.front() != '?') path.insert(0, "/");
  return Target{instance->url(), absl::StrCat("/_mayfly/functions/", key, path)};
}

int Invoke(const InvokeOptions& options) {
  const absl::StatusOr<Target> target = FindTarget(options);
  if (!target.ok()) return Fail(target.status(), ExitCodeOf(target.status()));
  const absl::StatusOr<std::string> body = options.has_body ? ReadBody(options.body) : std::string();
  if (!body.ok()) return Fail(body.status());

  HttpRequest request{.method = MethodOf(options),
                      .url = target->origin + target->path,
                      .headers = {{"Mayfly-Metering", "true"}},
                      .body = *body,
                      .has_body = options.has_body,
                      .timeout_seconds = options.timeout_seconds};
  bool has_type = false;
  for (const std::string& text : options.headers) {
    const auto header = ParseHeader(text);
    if (!header.ok()) return Fail(header.status(), kExitUsage);
    has_type = has_type || absl::EqualsIgnoreCase(header->first, "Content-Type");
    request.headers.push_back(*header);
  }
  if (options.has_body && !has_type) request.headers.emplace_back("Content-Type", "application/octet-stream");
  BodyPrinter printer;
  const auto start = std::chrono::steady_clock::now();
  const absl::StatusOr<CallAnswer> answer =
      SendCall(request, [&printer](std::string_view part) { return printer.Write(part); });
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  printer.Finish();
  if (absl::IsAborted(answer.status()))
    return kExitFailed;  // what is wrong with the output is told at the end
  if (!answer.ok()) {
    const int exit_code = absl::IsUnavailable(answer.status())       ? kExitNothingRuns
                          : absl::IsInvalidArgument(answer.status()) ? kExitUsage
                                                                     : kExitFunctionFailed;
    return Fail(base::WithContext(answer.status(), target->origin + " gave no answer"), exit_code);
  }
  return TellOutcome(*answer, took.count(), options.quiet);
}

}  // namespace

void AddInvoke(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("invoke", "Call a function, and see what that cost");
  const auto options = std::make_shared<InvokeOptions>();
  command
      ->add_option("TARGET", options->target,
                   "A function (name or namespace/name), or an http:// or https:// URL")
      ->required()
      ->type_name("");
  AddCallOptions(*command, options);
  command->add_option("--port,-p", options->port, "Port of the `mayfly up` to ask; needed if several run")
      ->type_name("PORT");
  command->footer(
      "Examples:\n"
      "  mayfly invoke hello --path '?name=Ada'\n"
      "  mayfly invoke thumbnail -d @photo.jpg > small.jpg\n"
      "  echo '{}' | mayfly invoke echo -d - -H 'Content-Type: application/json'\n"
      "The body goes to standard output; outcome, status and what it cost to standard error.\n"
      "Exits with 5 if the function failed or answered with a status of 400 or more.");
  command->callback([&action, options] { action = [options] { return Invoke(*options); }; });
}

}  // namespace mayfly::cli
