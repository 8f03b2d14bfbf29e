#include "cli/function_table.h"

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

// A sentence that a table has room for; `mayfly get NAME -o yaml` has the whole.
std::string Short(const std::string& sentence) {
  constexpr std::size_t kMost = 160;
  if (sentence.size() <= kMost) return sentence;
  std::size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(sentence[end]) & 0xc0) == 0x80)
    --end;  // not within a character
  return sentence.substr(0, end) + "…";
}

// One row: name, ready, replicas, desired, revision, usage, url, and what is wrong.
std::vector<std::string> Row(const Json& function, const std::string& space) {
  const Json status = function.value("status", Json::object());
  std::string ready = "Unknown";
  std::string wrong;
  for (const Json& condition : status.value("conditions", Json::array())) {
    if (condition.value("type", "") != "Ready") continue;
    ready = condition.value("status", "Unknown");
    // OldManifestServes, OldRevisionServes: what is newest does not.
    const bool old = absl::StartsWith(condition.value("reason", ""), "Old");
    if (ready == "False" || old) wrong = condition.value("message", "");
  }
  for (const char* const key : {"problem", "artifactProblem"}) {
    if (wrong.empty() && status.contains(key)) wrong = status[key].value("message", "");
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
          status.value("url", ""),
          Short(wrong.substr(0, wrong.find('\n')))};
}

std::string Table(const std::vector<Json>& functions, const std::string& space) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "READY", "REPLICAS", "DESIRED", "REVISION", "INVOCATIONS", "BILLED", "URL", "PROBLEM"}};
  for (const Json& function : functions) rows.push_back(Row(function, space));
  const bool problems =
      std::any_of(rows.begin() + 1, rows.end(), [](const auto& row) { return !row.back().empty(); });
  if (!problems) {
    for (std::vector<std::string>& row : rows) row.pop_back();
  }
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, row[i]);
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    absl::StrAppend(&text, line, "\n");
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

std::string Shown(const Json& json, const std::vector<Json>& functions, const ShowOptions& options) {
  if (options.output == "name") {
    std::string text;
    for (const Json& function : functions) absl::StrAppend(&text, NameOf(function, options.space), "\n");
    return text;
  }
  if (options.output == "table") {
    if (functions.empty()) return "There is no function yet: `mayfly new NAME` makes one.\n";
    return Table(functions, options.space);
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
    return Shown(json, many ? json["functions"].get<std::vector<Json>>() : std::vector<Json>{json}, options);
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
                            const ShowOptions& options, std::chrono::milliseconds every) {
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
