#include "cli/why.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;

// An object's text field, or "".
std::string Text(const Json& json, const char* field) {
  const auto found = json.find(field);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

Json Child(const Json& json, const char* field) {
  const auto found = json.find(field);
  return found != json.end() ? *found : Json();
}

}  // namespace

std::string WhyText(const std::string& function, std::vector<WhyEvent> events) {
  const Json json = Json::parse(function, nullptr, false);
  const Json status = Child(json, "status");
  std::string text;
  for (const Json& condition : Child(status, "conditions")) {
    absl::StrAppend(&text, Text(condition, "type"), ": ", Text(condition, "status"), " (",
                    Text(condition, "reason"), ") ", Text(condition, "message"), "\n");
  }
  if (text.empty()) text = "No operator has said anything of it yet.\n";
  const std::string scaling = Text(Child(status, "scaling"), "reason");
  if (!scaling.empty()) absl::StrAppend(&text, "Scaling: ", scaling, "\n");
  const Json failure = Child(status, "lastFailure");
  if (failure.is_object()) {
    absl::StrAppend(&text, "Last failure, ", Text(failure, "time"), ": ", Text(failure, "reason"), ": ",
                    Text(failure, "message"), "\n");
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const WhyEvent& a, const WhyEvent& b) { return a.time < b.time; });
  if (!events.empty()) text += "Events:\n";
  for (const WhyEvent& event : events)
    absl::StrAppend(&text, "  ", event.time, "  ", event.reason, ": ", event.message, "\n");
  return text;
}

}  // namespace mayfly::cli
