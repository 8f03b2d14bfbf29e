#include "cli/call.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/exit_codes.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

absl::StatusOr<std::string> ReadAll(std::FILE* file, const std::string& name) {
  std::string text;
  char part[64u << 10];
  for (std::size_t size = 0; (size = std::fread(part, 1, sizeof part, file)) > 0;) text.append(part, size);
  if (std::ferror(file) != 0)
    return absl::DataLossError(absl::StrCat("cannot read ", name, ": ", std::strerror(errno)));
  return text;
}

std::string Header(const CallAnswer& response, const char* name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? "" : found->second;
}

// "resize OK 200 · 12.3 ms wall · 11.0 ms CPU · 34.5 MB peak · cold"
std::string Summary(const CallAnswer& response, double client_ms) {
  const bool good = response.status < 400;
  std::string text =
      absl::StrCat(Paint(good ? "OK" : "FAILED", good ? Colour::kGreen : Colour::kRed), " ", response.status);
  const std::string wall = Header(response, "mayfly-wall-ms");
  if (!wall.empty()) absl::StrAppend(&text, ", ", wall, " ms wall");
  const std::string cpu = Header(response, "mayfly-cpu-ms");
  if (!cpu.empty()) absl::StrAppend(&text, ", ", cpu, " ms CPU");
  const std::string rss = Header(response, "mayfly-peak-rss-bytes");
  double bytes = 0;
  if (absl::SimpleAtod(rss, &bytes) && bytes > 0) {
    constexpr double kMegabyte = 1e6;
    absl::StrAppend(&text, ", ", absl::StrFormat("%.1f MB peak", bytes / kMegabyte));
  }
  if (Header(response, "mayfly-cold") == "true") absl::StrAppend(&text, ", cold start");
  absl::StrAppend(&text, absl::StrFormat(", %.1f ms in all", client_ms));
  const std::string id = Header(response, "mayfly-invocation-id");
  if (!id.empty()) absl::StrAppend(&text, ", id ", id);
  return text;
}

// What an error body of the gateway says, if it is one.
std::string Explanation(const CallAnswer& response) {
  const auto json = nlohmann::json::parse(response.body, nullptr, false);
  if (!json.is_object() || !json.contains("reason") || !json.contains("message")) return "";
  if (!json["reason"].is_string() || !json["message"].is_string()) return "";
  return absl::StrCat(json["reason"].get<std::string>(), ": ", json["message"].get<std::string>());
}

}  // namespace

void AddCallOptions(CLI::App& command, const std::shared_ptr<CallOptions>& options) {
  command
      .add_option_function<std::string>(
          "-d,--data",
          [options](const std::string& text) {
            options->body = text;
            options->has_body = true;
          },
          "Body: text, @FILE, or - for standard input")
      ->type_name("BODY");
  command.add_option("-X,--method", options->method, "Method; POST with a body, else GET")
      ->type_name("METHOD");
  command.add_option("-H,--header", options->headers, "A header, NAME: VALUE; may be repeated")
      ->type_name("HEADER")
      ->take_all()
      ->expected(1);
  command.add_option("--path", options->path, "Path and query after the function's own: /a/b?c=d")
      ->type_name("PATH");
  command.add_flag("-q,--quiet", options->quiet, "Print the body only");
  command.add_option("--timeout", options->timeout_seconds, "Seconds to wait for the answer")
      ->check(CLI::Range(1, 86'400))
      ->type_name("SECONDS")
      ->capture_default_str();
}

std::string MethodOf(const CallOptions& options) {
  if (!options.method.empty()) return options.method;
  return options.has_body ? "POST" : "GET";
}

absl::StatusOr<std::string> ReadBody(const std::string& given) {
  if (given == "-" || given == "@-") return ReadAll(stdin, "standard input");
  if (given.empty() || given.front() != '@') return given;
  const std::string name = given.substr(1);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(name.c_str(), "rbe"), &std::fclose);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot open ", name, ": ", std::strerror(errno)));
  return ReadAll(file.get(), name);
}

absl::StatusOr<std::pair<std::string, std::string>> ParseHeader(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0)
    return absl::InvalidArgumentError(absl::StrCat("header \"", text, "\" is not NAME: VALUE"));
  return std::pair(text.substr(0, colon),
                   std::string(absl::StripAsciiWhitespace(absl::string_view(text).substr(colon + 1))));
}

bool BodyPrinter::Write(std::string_view part) {
  if (part.empty()) return true;
  last_ = part.back();
  return std::fwrite(part.data(), 1, part.size(), stdout) == part.size() && std::fflush(stdout) == 0;
}

void BodyPrinter::Finish() {
  if (last_ != '\n' && ::isatty(STDOUT_FILENO) == 1) std::fputc('\n', stdout);
}

int TellOutcome(const CallAnswer& answer, double client_ms, bool quiet) {
  if (!quiet) std::fprintf(stderr, "%s\n", Summary(answer, client_ms).c_str());
  if (answer.status < 400) return kExitOk;
  const std::string why = Explanation(answer);
  if (!why.empty()) std::fprintf(stderr, "%s\n", Printable(why).c_str());
  return kExitFunctionFailed;
}

}  // namespace mayfly::cli
