#include "cli/function_table.h"

#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/table.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string NameOf(const Json& function, const std::string& space_of_all) {
  const Json metadata = function.value("metadata", Json::object());
  const std::string space = metadata.value("namespace", "");
  const std::string name = metadata.value("name", "");
  return space == space_of_all ? name : absl::StrCat(space, "/", name);
}

std::string Number(const Json& json, const char* key) {
  return json.contains(key) && json[key].is_number() ? absl::StrCat(json[key].get<std::int64_t>()) : "-";
}

// What a row has room for: the first line, and on a terminal no more than `kMost` bytes of it.
std::string Short(const std::string& text) {
  constexpr std::size_t kMost = 160;
  const std::string sentence = text.substr(0, text.find('\n'));
  if (sentence.size() <= kMost) return sentence;
  std::size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(sentence[end]) & 0xc0) == 0x80)
    --end;  // not within a character
  return sentence.substr(0, end) + "…";
}

// "REASON: message" of a condition or a problem.
std::string Told(const Json& json) {
  const std::string reason = json.value("reason", "");
  return reason.empty() ? json.value("message", "") : absl::StrCat(reason, ": ", json.value("message", ""));
}

// What is wrong with the function, the worst first: it does not serve, its newest manifest or module does not, a trigger gets
// no events. "" if nothing is.
std::string Wrong(const Json& status) {
  const Json conditions = status.value("conditions", Json::array());
  for (const Json& condition : conditions) {
    if (condition.value("type", "") != "Ready") continue;
    // OldManifestServes, OldRevisionServes: what is newest does not.
    const bool old = absl::StartsWith(condition.value("reason", ""), "Old");
    if (condition.value("status", "") == "False" || old) return Told(condition);
  }
  for (const char* const key : {"problem", "artifactProblem"}) {
    if (status.contains(key)) return Told(status[key]);
  }
  for (const Json& condition : conditions) {
    const std::string type = condition.value("type", "");
    if ((type == "ArtifactReady" || type == "TriggersReady") && condition.value("status", "") == "False")
      return Told(condition);
  }
  return "";
}

// One row: name, ready, replicas, desired, revision, usage, url.
std::vector<std::string> Row(const Json& function, const std::string& space) {
  const Json status = function.value("status", Json::object());
  std::string ready = "Unknown";
  for (const Json& condition : status.value("conditions", Json::array())) {
    if (condition.value("type", "") == "Ready") ready = condition.value("status", "Unknown");
  }
  std::string desired = "-";
  if (status.contains("scaling")) desired = Number(status["scaling"], "desired");
  constexpr std::size_t kShort = 10;
  const std::string revision = status.value("revision", "").substr(0, kShort);
  const Json usage = status.value("usage", Json());
  return {NameOf(function, space),
          ready,
          Number(status, "readyReplicas"),
          desired,
          revision.empty() ? "-" : revision,
          usage.is_object() ? Number(usage, "invocations") : "0",
          usage.is_object() ? absl::StrCat(Number(usage, "wallMilliseconds"), " ms") : "0 ms",
          status.value("url", "")};
}

const std::vector<std::string>& Heads() {
  static const std::vector<std::string> kHeads = {"NAME",     "READY",       "REPLICAS", "DESIRED",
                                                  "REVISION", "INVOCATIONS", "BILLED",   "URL"};
  return kHeads;
}

// Their problems in a column of its own, if there are any.
std::string TableOfAll(const std::vector<Json>& functions, const ShowOptions& options) {
  std::vector<std::vector<std::string>> rows = {Heads()};
  std::vector<std::string> problems = {"PROBLEM"};
  for (const Json& function : functions) {
    rows.push_back(Row(function, options.space));
    const std::string wrong = Wrong(function.value("status", Json::object()));
    problems.push_back(options.narrow ? Short(wrong) : absl::StrReplaceAll(wrong, {{"\n", "; "}}));
  }
  if (std::any_of(problems.begin() + 1, problems.end(),
                  [](const std::string& problem) { return !problem.empty(); })) {
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].push_back(std::move(problems[i]));
  }
  return Aligned(rows);
}

// Below its row, what a row has no room for: what is wrong, whole, and why it has as many replicas as it has.
std::string TableOfOne(const Json& function, const ShowOptions& options) {
  const Json status = function.value("status", Json::object());
  std::string text = Aligned({Heads(), Row(function, options.space)});
  if (const std::string wrong = Wrong(status); !wrong.empty())
    absl::StrAppend(&text, "Problem: ", absl::StrReplaceAll(wrong, {{"\n", "\n  "}}), "\n");
  if (status.contains("scaling")) {
    const std::string reason = status["scaling"].value("reason", "");
    if (!reason.empty()) absl::StrAppend(&text, "Scaling: ", reason, "\n");
  }
  return text;
}

// Whether YAML, 1.1 or 1.2, takes an unquoted `text` for that very text and not for a bool, a number or a null. What is
// merely unusual is quoted too.
bool IsPlainYaml(const std::string& text) {
  static constexpr std::string_view kOthers[] = {"",    "false", "n",    "no", "null",
                                                 "off", "on",    "true", "y",  "yes"};
  const std::string lower = absl::AsciiStrToLower(text);
  if (std::find(std::begin(kOthers), std::end(kOthers), lower) != std::end(kOthers)) return false;
  if (!absl::ascii_isalpha(static_cast<unsigned char>(text.front())) && text.front() != '/') return false;
  if (text.back() == ' ') return false;
  return text.find(": ") == std::string::npos && text.back() != ':' &&
         text.find_first_of("#{}[]\n\t\"'`&*!|>%@") == std::string::npos;
}

void EmitYaml(const Json& json, YAML::Emitter& out) {
  if (json.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [key, value] : json.items()) {
      out << YAML::Key << key << YAML::Value;
      EmitYaml(value, out);
    }
    out << YAML::EndMap;
  } else if (json.is_array()) {
    out << YAML::BeginSeq;
    for (const Json& item : json) EmitYaml(item, out);
    out << YAML::EndSeq;
  } else if (json.is_string()) {
    const std::string text = json.get<std::string>();
    if (IsPlainYaml(text)) {
      out << text;
    } else {
      out << YAML::DoubleQuoted << text;
    }
  } else {
    out << json.dump();
  }
}

// `json` is the whole answer: one function if `one`, else the list that `functions` was.
std::string Shown(const Json& json, const std::vector<Json>& functions, bool one,
                  const ShowOptions& options) {
  if (options.output == "name") {
    std::string text;
    for (const Json& function : functions) absl::StrAppend(&text, NameOf(function, options.space), "\n");
    return text;
  }
  if (options.output == "table") {
    if (functions.empty()) return "There is no function yet: `mayfly new NAME` makes one.\n";
    return one ? TableOfOne(functions.front(), options) : TableOfAll(functions, options);
  }
  if (options.output == "json") return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  YAML::Emitter out;
  EmitYaml(json, out);
  return std::string(out.c_str()) + "\n";
}

}  // namespace

absl::StatusOr<std::string> ShowFunctions(const std::string& text, const ShowOptions& options) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return absl::InternalError("the answer is no JSON object");
  const bool many = json.contains("functions");
  if (!many && !json.contains("metadata")) return absl::InternalError("the answer is no function");
  try {
    return Shown(json, many ? json["functions"].get<std::vector<Json>>() : std::vector<Json>{json}, !many,
                 options);
  } catch (const Json::exception& error) {
    return absl::InternalError(absl::StrCat("the answer is not as a function is: ", error.what()));
  }
}

void AddShowOptions(CLI::App& command, ShowOptions& options) {
  command.add_option("-o,--output", options.output, "table, name, json or yaml")
      ->check(CLI::IsMember({"json", "name", "table", "yaml"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  command.add_flag("-w,--watch", options.watch, "Print again whenever something changed");
}

absl::Status PrintFunctions(const std::function<absl::StatusOr<std::string>()>& read,
                            const ShowOptions& shown, std::chrono::milliseconds every) {
  ShowOptions options = shown;
  options.narrow = ::isatty(STDOUT_FILENO) == 1;
  std::string before;
  for (;;) {
    const absl::StatusOr<std::string> json = read();
    if (!json.ok()) return json.status();
    const absl::StatusOr<std::string> text = ShowFunctions(*json, options);
    if (!text.ok()) return text.status();
    if (*text != before) {
      if (!before.empty() && options.output == "table") std::fputc('\n', stdout);
      std::fputs(text->c_str(), stdout);
      std::fflush(stdout);
      before = *text;
    }
    if (!options.watch || std::ferror(stdout) != 0) return absl::OkStatus();
    // Neither server tells of changes: both are asked, as often as each bears.
    std::this_thread::sleep_for(every);
  }
}

}  // namespace mayfly::cli
