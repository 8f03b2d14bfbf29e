#include <httplib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/instance.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

struct InvokeOptions {
  std::string target;
  std::string body;
  bool has_body = false;
  std::string method;
  std::vector<std::string> headers;
  std::string path;
  bool quiet = false;
  int timeout_seconds = 300;
  int port = 0;
};

struct Target {
  std::string origin;  // "http://127.0.0.1:8080"
  std::string path;
};

absl::StatusOr<std::string> ReadStream(std::istream& stream, const std::string& name) {
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (stream.bad()) return absl::DataLossError(absl::StrCat("cannot read ", name));
  return text;
}

// The body that -d means: text, @file, or - for standard input.
absl::StatusOr<std::string> ReadBody(const std::string& given) {
  if (given == "-" || given == "@-") return ReadStream(std::cin, "standard input");
  if (given.empty() || given.front() != '@') return given;
  std::ifstream file(given.substr(1), std::ios::binary);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("cannot open ", given.substr(1), ": ", std::strerror(errno)));
  }
  return ReadStream(file, given.substr(1));
}

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

std::string Header(const httplib::Response& response, const char* name) {
  return response.get_header_value(name);
}

// "resize OK 200 · 12.3 ms wall · 11.0 ms CPU · 34.5 MB peak · cold"
std::string Summary(const httplib::Response& response, double client_ms) {
  const bool good = response.status < 400;
  std::string text =
      absl::StrCat(Paint(good ? "OK" : "FAILED", good ? Colour::kGreen : Colour::kRed), " ", response.status);
  const std::string wall = Header(response, "Mayfly-Wall-Ms");
  if (!wall.empty()) absl::StrAppend(&text, ", ", wall, " ms wall");
  const std::string cpu = Header(response, "Mayfly-Cpu-Ms");
  if (!cpu.empty()) absl::StrAppend(&text, ", ", cpu, " ms CPU");
  const std::string rss = Header(response, "Mayfly-Peak-Rss-Bytes");
  double bytes = 0;
  if (absl::SimpleAtod(rss, &bytes) && bytes > 0) {
    constexpr double kMegabyte = 1e6;
    absl::StrAppend(&text, ", ", absl::StrFormat("%.1f MB peak", bytes / kMegabyte));
  }
  if (Header(response, "Mayfly-Cold") == "true") absl::StrAppend(&text, ", cold start");
  absl::StrAppend(&text, absl::StrFormat(", %.1f ms in all", client_ms));
  const std::string id = Header(response, "Mayfly-Invocation-Id");
  if (!id.empty()) absl::StrAppend(&text, ", id ", id);
  return text;
}

// What an error body of the gateway says, if it is one.
std::string Explanation(const httplib::Response& response) {
  const auto json = nlohmann::json::parse(response.body, nullptr, false);
  if (!json.is_object() || !json.contains("reason") || !json.contains("message")) return "";
  if (!json["reason"].is_string() || !json["message"].is_string()) return "";
  return absl::StrCat(json["reason"].get<std::string>(), ": ", json["message"].get<std::string>());
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
  request.method = options.method.empty() ? (options.has_body ? "POST" : "GET") : options.method;
  request.path = target->path;
  request.body = *body;
  request.set_header("Mayfly-Metering", "true");
  for (const std::string& header : options.headers) {
    const std::size_t colon = header.find(':');
    if (colon == std::string::npos || colon == 0) {
      return Fail(absl::StrCat("header \"", header, "\" is not NAME: VALUE"), kExitUsage);
    }
    const std::string value(absl::StripAsciiWhitespace(absl::string_view(header).substr(colon + 1)));
    request.set_header(header.substr(0, colon).c_str(), value.c_str());
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
  const httplib::Result result = client.send(request);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  if (!result) {
    return Fail(absl::StrCat(target->origin, " gave no answer: ", WhyNoAnswer(result.error())),
                result.error() == httplib::Error::Connection ? kExitNothingRuns : kExitFunctionFailed);
  }
  std::fwrite(result->body.data(), 1, result->body.size(), stdout);
  if (!result->body.empty() && result->body.back() != '\n' && ::isatty(STDOUT_FILENO) == 1)
    std::fputc('\n', stdout);
  std::fflush(stdout);
  if (!options.quiet) std::fprintf(stderr, "%s\n", Summary(*result, took.count()).c_str());
  if (result->status < 400) return kExitOk;
  const std::string why = Explanation(*result);
  if (!why.empty()) std::fprintf(stderr, "%s\n", why.c_str());
  return kExitFunctionFailed;
}

}  // namespace

void AddInvoke(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("invoke", "Call a function, and see what that cost");
  const auto options = std::make_shared<InvokeOptions>();
  command->add_option("TARGET", options->target, "A function (name or namespace/name), or an http:// URL")
      ->required()
      ->type_name("");
  command
      ->add_option_function<std::string>(
          "-d,--data",
          [options](const std::string& text) {
            options->body = text;
            options->has_body = true;
          },
          "Body: text, @FILE, or - for standard input")
      ->type_name("BODY");
  command->add_option("-X,--method", options->method, "Method; POST with a body, else GET")
      ->type_name("METHOD");
  command->add_option("-H,--header", options->headers, "A header, NAME: VALUE; may be repeated")
      ->type_name("HEADER")
      ->take_all()
      ->expected(1);
  command->add_option("--path", options->path, "Path and query after the function's own: /a/b?c=d")
      ->type_name("PATH");
  command->add_flag("-q,--quiet", options->quiet, "Print the body only");
  command->add_option("--timeout", options->timeout_seconds, "Seconds to wait for the answer")
      ->check(CLI::Range(1, 86'400))
      ->type_name("SECONDS")
      ->capture_default_str();
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
