#include <httplib.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
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
  if (absl::StartsWith(options.target, "https://")) {
    return absl::InvalidArgumentError("`mayfly invoke` speaks plain HTTP: give a name, or an http:// URL");
  }
  if (absl::StartsWith(options.target, "http://")) {
    const std::size_t slash = options.target.find('/', std::string("http://").size());
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

std::string WhyNoAnswer(httplib::Error error) {
  switch (error) {
    case httplib::Error::Connection:
      return "the connection was refused, or did not come about: does anything listen there?";
    case httplib::Error::Read:
      return "the connection ended before the answer did, or --timeout passed";
    case httplib::Error::Write:
      return "the connection ended before the request was sent";
    default:
      return httplib::to_string(error);
  }
}

int Invoke(const InvokeOptions& options) {
  const absl::StatusOr<Target> target = FindTarget(options);
  if (!target.ok()) return Fail(target.status(), ExitCodeOf(target.status()));
  const absl::StatusOr<std::string> body = options.has_body ? ReadBody(options.body) : std::string();
  if (!body.ok()) return Fail(body.status());

  httplib::Request request;
  request.method = MethodOf(options);
  request.path = target->path;
  request.body = *body;
  request.set_header("Mayfly-Metering", "true");
  for (const std::string& text : options.headers) {
    const auto header = ParseHeader(text);
    if (!header.ok()) return Fail(header.status(), kExitUsage);
    request.set_header(header->first.c_str(), header->second.c_str());
  }
  if (options.has_body && !request.has_header("Content-Type")) {
    request.set_header("Content-Type", "application/octet-stream");
  }

  httplib::Client client(target->origin);
  constexpr int kConnectSeconds = 5;
  client.set_connection_timeout(kConnectSeconds);
  client.set_read_timeout(options.timeout_seconds);
  client.set_write_timeout(options.timeout_seconds);
  client.set_url_encode(false);
  const auto start = std::chrono::steady_clock::now();
  httplib::Result result = client.send(request);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  if (!result) {
    return Fail(absl::StrCat(target->origin, " gave no answer: ", WhyNoAnswer(result.error())),
                result.error() == httplib::Error::Connection ? kExitNothingRuns : kExitFunctionFailed);
  }
  CallAnswer answer{.status = result->status, .headers = {}, .body = std::move(result->body)};
  for (const auto& [name, value] : result->headers) answer.headers[absl::AsciiStrToLower(name)] = value;
  return TellAnswer(answer, took.count(), options.quiet);
}

}  // namespace

void AddInvoke(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("invoke", "Call a function, and see what that cost");
  const auto options = std::make_shared<InvokeOptions>();
  command->add_option("TARGET", options->target, "A function (name or namespace/name), or an http:// URL")
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
