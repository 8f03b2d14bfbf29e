#include "operator/api/triggers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "operator/api/cron_trigger.h"
#include "operator/api/event_policy.h"
#include "operator/api/http_trigger.h"
#include "operator/api/kafka_trigger.h"
#include "operator/api/names.h"
#include "operator/api/nats_trigger.h"
#include "operator/api/postgres_trigger.h"
#include "operator/api/redis_trigger.h"
#include "operator/api/spec_bounds.h"
#include "operator/api/webhook_trigger.h"

namespace mayfly::op {
namespace {

// Kinds of the custom resource that this version does not serve yet: known, so that the answer is a better
// one than "unknown field".
constexpr std::array<std::string_view, 7> kNotServed = {"amqp", "imap",        "mqtt", "mysql",
                                                        "nfs",  "objectStore", "sqs"};

using Reader = void (*)(const YamlNode& node, const std::string& path, MistakeList& mistakes,
                        v1::EventTrigger* trigger);

// Kinds of sources of which an EventTrigger is all, in the order of their names.
constexpr std::array<std::pair<std::string_view, Reader>, 5> kKinds = {{{"cron", ReadCron},
                                                                        {"kafka", ReadKafka},
                                                                        {"nats", ReadNats},
                                                                        {"postgres", ReadPostgres},
                                                                        {"redis", ReadRedis}}};

bool IsOfAKind(std::string_view field) {
  return std::any_of(kKinds.begin(), kKinds.end(), [&](const auto& kind) { return kind.first == field; });
}

// "cron, http, kafka or webhook"
std::string Served() {
  std::set<std::string_view> served = {"http", "webhook"};
  for (const auto& [kind, read] : kKinds) served.insert(kind);
  const std::string_view last = *served.rbegin();
  served.erase(last);
  return fmt::format("{} or {}", fmt::join(served, ", "), last);
}

Trigger ReadTrigger(const YamlNode& node, const std::string& path, const Retry& retry,
                    MistakeList& mistakes) {
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
  for (const auto& [kind, read] : kKinds) {
    const YamlNode* const source = reader.Find(kind);
    if (source == nullptr) continue;
    kinds.emplace_back(kind);
    EventTrigger& event = trigger.event.emplace();
    event.message.set_name(trigger.name);
    read(*source, reader.PathOf(kind), mistakes, &event.message);
  }
  if (const YamlNode* webhook = reader.Find("webhook")) {
    kinds.emplace_back("webhook");
    ReadWebhook(*webhook, reader.PathOf("webhook"), mistakes, &trigger);
  }
  for (const std::string_view kind : kNotServed) {
    const bool given = reader.Refuse(kind, fmt::format("triggers of kind {} are not served by this version "
                                                       "of Mayfly; use {}",
                                                       kind, Served()));
    if (given) kinds.emplace_back(kind);
  }
  if (reader.is_map() && kinds.empty()) {
    const auto& entries = node.entries;
    const bool only_known = std::all_of(entries.begin(), entries.end(), [](const YamlEntry& entry) {
      const std::string& key = entry.key.scalar;
      return key == "name" || key == "http" || key == "webhook" || IsOfAKind(key) || IsEventPolicy(key);
    });
    // A kind of a newer version is not passed over: its events would be lost without a word.
    if (only_known || mistakes.unknown_fields() == UnknownFields::kIgnore)
      reader.Wrong("", "has no source of events; add one, as in http: {path: /thumbnails}");
  }
  if (trigger.http && !trigger.event) {
    RefuseEventPolicy(reader);
  } else {
    v1::EventTrigger of_no_kind;
    ReadEventPolicy(reader, retry, mistakes, trigger.event ? &trigger.event->message : &of_no_kind);
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

std::vector<Trigger> ReadTriggers(FieldReader& spec, const Retry& retry, MistakeList& mistakes) {
  std::vector<Trigger> triggers;
  const std::vector<YamlNode>& items = spec.List("triggers", kMaxTriggers);
  std::map<std::string, std::size_t> names;
  for (std::size_t n = 0; n < items.size(); n++) {
    const std::string path = fmt::format("{}[{}]", spec.PathOf("triggers"), n);
    Trigger trigger = ReadTrigger(items[n], path, retry, mistakes);
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
            items[n], path + (trigger.event ? ".webhook" : ".http"),
            fmt::format("serves the same host, path and method as triggers[{}]; change one of them", other));
        break;
      }
    }
    triggers.push_back(std::move(trigger));
  }
  return triggers;
}

std::vector<Trigger> EffectiveHttpTriggers(const Function& function) {
  if (function.spec.triggers.empty()) return {{"http", HttpTrigger{"", "/" + function.name, {}}, {}}};
  std::vector<Trigger> result;
  for (const Trigger& trigger : function.spec.triggers) {
    if (trigger.http) result.push_back(trigger);
  }
  return result;
}

}  // namespace mayfly::op
