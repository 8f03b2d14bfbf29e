#include "operator/api/triggers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "operator/api/names.h"
#include "operator/api/spec_bounds.h"

namespace mayfly::op {
namespace {

constexpr std::array<std::string_view, 7> kMethods = {"DELETE", "GET",  "HEAD", "OPTIONS",
                                                      "PATCH",  "POST", "PUT"};

// Kinds of the custom resource that this version does not serve yet: known, so that the answer is a better
// one than "unknown field".
constexpr std::array<std::string_view, 13> kNotServed = {"amqp",  "cron", "imap",   "kafka",       "mqtt",
                                                         "mysql", "nats", "nfs",    "objectStore", "postgres",
                                                         "redis", "sqs",  "webhook"};

std::vector<std::string> ReadMethods(FieldReader& http, MistakeList& mistakes) {
  std::vector<std::string> methods;
  const std::vector<YamlNode>& items = http.List("methods", kMethods.size());
  for (std::size_t n = 0; n < items.size(); n++) {
    const std::string path = fmt::format("{}[{}]", http.PathOf("methods"), n);
    std::string method;
    if (!ReadText(items[n], path, mistakes, method)) continue;
    if (std::find(kMethods.begin(), kMethods.end(), method) == kMethods.end()) {
      const std::string nearest = NearestOf(method, {kMethods.begin(), kMethods.end()});
      mistakes.Add(items[n], path,
                   nearest.empty() ? fmt::format("{} is not a method that is served; use one of {}",
                                                 Quote(method), fmt::join(kMethods, ", "))
                                   : fmt::format("{} is not a method that is served; did you mean \"{}\"?",
                                                 Quote(method), nearest));
    } else if (std::find(methods.begin(), methods.end(), method) != methods.end()) {
      mistakes.Add(items[n], path, fmt::format("{} is listed twice; keep one", Quote(method)));
    } else {
      methods.push_back(method);
    }
  }
  return methods;
}

HttpTrigger ReadHttp(const YamlNode& node, const std::string& path, MistakeList& mistakes) {
  FieldReader http(node, path, mistakes);
  HttpTrigger trigger;
  if (http.Text("path", trigger.path)) {
    const std::string wrong = CheckRoutePath(trigger.path);
    if (!wrong.empty()) http.Wrong("path", wrong);
  } else if (http.is_map() && http.Find("path") == nullptr) {
    http.Wrong("path", "is missing; give the path to serve, as in path: /thumbnails");
  }
  if (http.Text("host", trigger.host)) {
    const std::string wrong = CheckHost(trigger.host);
    if (!wrong.empty()) http.Wrong("host", wrong);
  }
  trigger.methods = ReadMethods(http, mistakes);
  http.Finish();
  return trigger;
}

Trigger ReadTrigger(const YamlNode& node, const std::string& path, MistakeList& mistakes) {
  FieldReader reader(node, path, mistakes);
  Trigger trigger;
  if (reader.Text("name", trigger.name)) {
    const std::string wrong = CheckLabelName(trigger.name);
    if (!wrong.empty()) reader.Wrong("name", wrong);
  } else if (reader.is_map() && reader.Find("name") == nullptr) {
    reader.Wrong("name", "is missing; name the trigger, as in name: api");
  }
  std::vector<std::string> kinds;
  if (const YamlNode* http = reader.Find("http")) {
    kinds.emplace_back("http");
    trigger.http = ReadHttp(*http, reader.PathOf("http"), mistakes);
  }
  for (const std::string_view kind : kNotServed) {
    const bool given = reader.Refuse(
        kind, fmt::format("triggers of kind {} are not served by this version of Mayfly; use http", kind));
    if (given) kinds.emplace_back(kind);
  }
  if (reader.is_map() && kinds.empty()) {
    const auto& entries = node.entries;
    const bool only_known = std::all_of(entries.begin(), entries.end(), [](const YamlEntry& entry) {
      return entry.key.scalar == "name" || entry.key.scalar == "http";
    });
    // A kind of a newer version is not passed over: its events would be lost without a word.
    if (only_known || mistakes.unknown_fields() == UnknownFields::kIgnore)
      reader.Wrong("", "has no source of events; add one, as in http: {path: /thumbnails}");
  }
  if (kinds.size() > 1) {
    reader.Wrong(kinds[1], fmt::format("has more than one source of events ({}); make a trigger of each",
                                       fmt::join(kinds, ", ")));
  }
  reader.Finish();
  return trigger;
}

// Whether some request would match both.
bool SameRoute(const HttpTrigger& a, const HttpTrigger& b) {
  if (a.host != b.host || a.path != b.path) return false;
  return a.methods.empty() || b.methods.empty() ||
         std::any_of(a.methods.begin(), a.methods.end(), [&](const std::string& method) {
           return std::find(b.methods.begin(), b.methods.end(), method) != b.methods.end();
         });
}

}  // namespace

std::vector<Trigger> ReadTriggers(FieldReader& spec, MistakeList& mistakes) {
  std::vector<Trigger> triggers;
  const std::vector<YamlNode>& items = spec.List("triggers", kMaxTriggers);
  std::map<std::string, std::size_t> names;
  for (std::size_t n = 0; n < items.size(); n++) {
    const std::string path = fmt::format("{}[{}]", spec.PathOf("triggers"), n);
    Trigger trigger = ReadTrigger(items[n], path, mistakes);
    if (!trigger.name.empty()) {
      const auto [first, is_new] = names.emplace(trigger.name, n);
      if (!is_new) {
        FieldReader(items[n], path, mistakes)
            .Wrong("name", fmt::format("{} is already the name of triggers[{}]; give each a name of its own",
                                       Quote(trigger.name), first->second));
      }
    }
    for (std::size_t other = 0; trigger.http && !trigger.http->path.empty() && other < triggers.size();
         other++) {
      if (triggers[other].http && SameRoute(*triggers[other].http, *trigger.http)) {
        mistakes.Add(
            items[n], path + ".http",
            fmt::format("serves the same host, path and method as triggers[{}]; change one of them", other));
        break;
      }
    }
    triggers.push_back(std::move(trigger));
  }
  return triggers;
}

std::vector<Trigger> EffectiveHttpTriggers(const Function& function) {
  if (function.spec.triggers.empty()) return {{"http", HttpTrigger{"", "/" + function.name, {}}}};
  std::vector<Trigger> result;
  for (const Trigger& trigger : function.spec.triggers) {
    if (trigger.http) result.push_back(trigger);
  }
  return result;
}

}  // namespace mayfly::op
