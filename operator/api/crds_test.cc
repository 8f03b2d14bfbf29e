// deploy/crds/ says to the API server what the parser of this folder says to everyone else: the same fields, the same
// ones needed, the same defaults, bounds and words. This test walks the schemas and asks the parser about each field.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "operator/api/config_json.h"
#include "operator/api/field_reader.h"
#include "operator/api/function_resource.h"
#include "operator/api/function_spec.h"
#include "operator/api/json_document.h"
#include "operator/api/runtime_pool.h"
#include "operator/api/units.h"

namespace mayfly::op {
namespace {

using Json = nlohmann::json;
using Pointer = Json::json_pointer;

std::string ReadFile(const std::string& path) {
  std::ifstream file(std::string(MAYFLY_SOURCE_DIR) + "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << path;
  return text.str();
}

// One of the two custom resources, with an object that has every field.
struct Resource {
  std::string file;
  std::string whole;
  std::function<std::vector<Mistake>(const Json& object)> parse;
  std::function<void(const YamlNode& spec, MistakeList& mistakes)> read_spec;

  Json Schema() const {
    MistakeList mistakes(file);
    const Json crd = Json::parse(ConfigToJson(ParseYaml(ReadFile(file)).documents.at(0), "", mistakes));
    EXPECT_TRUE(mistakes.empty());
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
  }
  Json Whole() const { return Json::parse(ReadFile(whole)); }
};

std::vector<Resource> CustomResources() {
  return {{"deploy/crds/functions.yaml", "operator/api/testdata/whole_function.json",
           [](const Json& object) { return ParseFunctionResource(object.dump())->document.mistakes; },
           [](const YamlNode& spec, MistakeList& mistakes) { ReadFunctionSpec(spec, {}, mistakes); }},
          {"deploy/crds/runtimepools.yaml", "operator/api/testdata/whole_pool.json",
           [](const Json& object) { return ParseRuntimePoolResource(object.dump())->mistakes; },
           [](const YamlNode& spec, MistakeList& mistakes) { ReadRuntimePoolSpec(spec, mistakes); }}};
}

const Json& Properties(const Json& schema) {
  static const Json kNone = Json::object();
  const auto found = schema.find("properties");
  return found == schema.end() ? kNone : *found;
}

// Of a trigger's fields, those that are a source of events: one of them is there.
bool IsKind(const std::string& field_of_trigger) {
  const std::set<std::string> others = {"name",        "backlogPerReplica", "batch",
                                        "maxInFlight", "orderBy",           "retry"};
  return !others.contains(field_of_trigger);
}

// `whole` with a trigger in the first place that has `field`, which is one of the first trigger's. Fields of a kind that do
// not go together are in several triggers of it.
Json WithTriggerFirst(Json whole, const std::string& field) {
  const std::string head = "spec.triggers[0].";
  if (!field.starts_with(head)) return whole;
  std::vector<std::string> names;
  for (std::size_t at = head.size() - 1; at != std::string::npos && field[at] == '.';) {
    const std::size_t end = field.find_first_of(".[", at + 1);
    names.push_back(field.substr(at + 1, end - at - 1));
    at = end;
  }
  Json& triggers = whole["spec"]["triggers"];
  const auto depth = [&](const Json& trigger) {
    std::size_t n = 0;
    for (const Json* at = &trigger; n < names.size() && at->is_object() && at->contains(names[n]); ++n)
      at = &(*at)[names[n]];
    return n;
  };
  for (std::size_t n = 1; n < triggers.size(); n++) {
    if (depth(triggers[n]) > depth(triggers[0])) std::swap(triggers[0], triggers[n]);
  }
  return whole;
}

// A place in a schema and in an object that it describes.
struct Place {
  std::string field;  // "spec.env[0].name"
  Pointer at;         // in the object
  const Json& schema;
};

// Calls `visit` for spec and each field below it; items of lists are those with index 0, values of maps the first.
void Walk(const Place& place, const Json& object, const std::function<void(const Place&)>& visit) {
  visit(place);
  for (const auto& [name, schema] : Properties(place.schema).items()) {
    Walk({place.field + "." + name, place.at / name, schema}, object, visit);
  }
  if (place.schema.contains("items")) {
    Walk({place.field + "[0]", place.at / 0, place.schema["items"]}, object, visit);
  }
}

void WalkSpec(const Resource& resource, const std::function<void(const Place&, const Json& whole)>& visit) {
  const Json schema = resource.Schema();
  Json whole = resource.Whole();
  Walk({"spec", Pointer("/spec"), schema["properties"]["spec"]}, whole, [&](const Place& place) {
    SCOPED_TRACE(resource.file + ": " + place.field);
    visit(place, WithTriggerFirst(whole, place.field));
  });
}

Json With(Json object, const Pointer& at, const Json& value) {
  object[at] = value;
  return object;
}

// The mistakes of exactly this field.
std::vector<std::string> MistakesOf(const Resource& resource, const Json& object, const std::string& field) {
  std::vector<std::string> sentences;
  for (const Mistake& mistake : resource.parse(object)) {
    if (mistake.field == field) sentences.push_back(mistake.sentence);
  }
  return sentences;
}

void ExpectAccepts(const Resource& resource, const Json& object) {
  for (const Mistake& mistake : resource.parse(object))
    ADD_FAILURE() << "the parser refuses it: " << mistake.ToString();
}

void ExpectRefuses(const Resource& resource, const Json& object, const std::string& field) {
  EXPECT_FALSE(MistakesOf(resource, object, field).empty()) << "the parser accepts what the CRD refuses";
}

// configMap instead of url.
Json OtherArtifact(Json whole) {
  if (whole["spec"].contains("artifact")) {
    whole["spec"]["artifact"] = {{"configMap", {{"name", "modules"}, {"key", "f.so"}}}};
  }
  return whole;
}

// The object in which `place` is, or could be.
Json ObjectWith(const Place& place, const Json& whole) {
  if (place.field.find(".configMap") != std::string::npos) return OtherArtifact(whole);
  for (const char* source : {"path", "image"}) {
    if (place.field != std::string("spec.artifact.") + source) continue;
    return With(whole, Pointer("/spec/artifact"), {{source, "/f.so"}});
  }
  return whole;
}

TEST(Crds, AreWholeInTheObjectsThatProbeThem) {
  for (const Resource& resource : CustomResources()) {
    ExpectAccepts(resource, resource.Whole());
    ExpectAccepts(resource, OtherArtifact(resource.Whole()));
    WalkSpec(resource, [&](const Place& place, const Json& whole) {
      EXPECT_TRUE(ObjectWith(place, whole).contains(place.at)) << "add it to " << resource.whole;
    });
  }
}

TEST(Crds, HaveTheFieldsThatTheParserReads) {
  for (const Resource& resource : CustomResources()) {
    KnownFields known;
    std::vector<Json> objects = {resource.Whole(), OtherArtifact(resource.Whole())};
    for (const Json& trigger : resource.Whole()["spec"].value("triggers", Json::array())) {
      objects.push_back(resource.Whole());
      objects.back()["spec"]["triggers"] = Json::array({trigger});
    }
    for (const Json& object : objects) {
      MistakeList mistakes("");
      mistakes.Observe(&known);
      const auto node = ParseJson(object["spec"].dump());
      ASSERT_TRUE(node.ok());
      resource.read_spec(*node, mistakes);
    }
    std::set<std::string> walked;
    WalkSpec(resource, [&](const Place& place, const Json&) {
      if (!place.schema.contains("properties")) return;
      walked.insert(place.field);
      std::set<std::string> names;
      for (const auto& [name, schema] : place.schema["properties"].items()) names.insert(name);
      EXPECT_EQ(names, known.served[place.field]);
      for (const std::string& refused : known.refused[place.field])
        EXPECT_FALSE(names.contains(refused)) << refused;
    });
    for (const auto& [field, names] : known.served) {
      const bool is_map = field.ends_with(".limits") || field.ends_with(".requests");
      bool indexed_further = false;
      for (std::size_t at = field.find('['); at != std::string::npos; at = field.find('[', at + 1))
        indexed_further = indexed_further || field[at + 1] != '0';
      if (!is_map && !indexed_further) {
        EXPECT_TRUE(walked.contains(field)) << field << " is not in the CRD";
      }
    }
  }
}

TEST(Crds, NeedTheFieldsThatTheParserNeeds) {
  // These may be left out in other company; rules say in which.
  const std::set<std::string> depends = {"spec.artifact.url", "spec.artifact.sha256",
                                         "spec.artifact.configMap", "spec.artifact.path",
                                         "spec.artifact.image"};
  for (const Resource& resource : CustomResources()) {
    WalkSpec(resource, [&](const Place& place, const Json& whole) {
      const Json needed = place.schema.value("required", Json::array());
      for (const auto& [name, schema] : Properties(place.schema).items()) {
        const Place inner{place.field + "." + name, place.at / name, schema};
        SCOPED_TRACE(inner.field);
        Json object = WithTriggerFirst(ObjectWith(inner, whole), inner.field);
        object.at(place.at).erase(name);
        const bool is_needed = std::find(needed.begin(), needed.end(), name) != needed.end();
        if (is_needed) {
          ExpectRefuses(resource, object, inner.field);
        } else if (!depends.contains(inner.field) && !(place.field == "spec.triggers[0]" && IsKind(name)) &&
                   inner.field.find(".tolerations[0].") == std::string::npos) {
          ExpectAccepts(resource, object);
        }
      }
    });
  }
}

// Fills in what the API server would.
void FillIn(const Json& schema, Json& object) {
  for (const auto& [name, inner] : Properties(schema).items()) {
    if (inner.contains("default") && !object.contains(name)) object[name] = inner["default"];
    if (object.contains(name) && object[name].is_object()) FillIn(inner, object[name]);
  }
}

TEST(Crds, FillInTheParsersDefaults) {
  const Json least = {{"metadata", {{"name", "f"}, {"namespace", "n"}}},
                      {"spec", {{"artifact", {{"image", "i"}}}}}};
  Json filled = least;
  FillIn(CustomResources()[0].Schema(), filled);
  EXPECT_EQ(filled["spec"].dump(),
            R"({"artifact":{"image":"i"},"concurrency":10,"limits":{"maxRequestBytes":"6Mi"},)"
            R"("retry":{"maxAge":"6h","maxAttempts":3,"maxBackoff":"5m","minBackoff":"1s"},)"
            R"("scaling":{"maxReplicas":20,"minReplicas":0,"scaleToZeroAfter":"60s","targetUtilization":70},)"
            R"("timeout":"60s"})");
  const auto expected = ParseFunctionResource(least.dump());
  const auto function = ParseFunctionResource(filled.dump());
  ASSERT_TRUE(expected->document.function && function->document.function);
  EXPECT_EQ(*expected->document.function, *function->document.function);

  const auto pool = [](const Json& spec) {
    return *ParseRuntimePoolResource(Json{{"metadata", {{"name", "p"}}}, {"spec", spec}}.dump())->spec;
  };
  Json pool_spec = Json::object();
  FillIn(CustomResources()[1].Schema()["properties"]["spec"], pool_spec);
  EXPECT_EQ(pool(pool_spec), pool(Json::object()));
}

TEST(Crds, HaveADefaultForEveryNumberThatHasOne) {
  // Absent has a meaning of its own.
  const std::set<std::string> none = {"spec.maxSize",
                                      "spec.scaling.schedules[0].minReplicas",
                                      "spec.scaling.schedules[0].to",
                                      "spec.tolerations[0].tolerationSeconds",
                                      "spec.runtime.tolerations[0].tolerationSeconds",
                                      "spec.triggers[0].backlogPerReplica",
                                      "spec.triggers[0].maxInFlight",
                                      "spec.triggers[0].postgres.heartbeat",
                                      "spec.triggers[0].retry.maxAge",
                                      "spec.triggers[0].retry.maxAttempts",
                                      "spec.triggers[0].retry.maxBackoff",
                                      "spec.triggers[0].retry.minBackoff",
                                      "spec.triggers[0].webhook.tolerance"};
  for (const Resource& resource : CustomResources()) {
    WalkSpec(resource, [&](const Place& place, const Json&) {
      const bool number =
          place.schema.value("type", "") == "integer" ||
          place.schema.dump().find("duration(self) >=") < place.schema.dump().find("\"properties\"");
      const bool needed = place.field == "spec.triggers[0].batch.size";
      if (number && !needed && !none.contains(place.field)) {
        EXPECT_TRUE(place.schema.contains("default"));
      }
    });
  }
}

TEST(Crds, BoundIntegersAsTheParserDoes) {
  for (const Resource& resource : CustomResources()) {
    WalkSpec(resource, [&](const Place& place, const Json& whole) {
      if (place.schema.value("type", "") != "integer") return;
      const auto least = place.schema.at("minimum").get<std::int64_t>();
      const auto most = place.schema.at("maximum").get<std::int64_t>();
      Json object = whole;
      if (place.field == "spec.maxSize") object["spec"]["size"] = 0;
      if (place.field == "spec.scaling.maxReplicas") object["spec"]["scaling"].erase("schedules");
      ExpectAccepts(resource, With(object, place.at, least));
      ExpectAccepts(resource, With(object, place.at, most));
      ExpectRefuses(resource, With(object, place.at, least - 1), place.field);
      ExpectRefuses(resource, With(object, place.at, most + 1), place.field);
    });
  }
}

// The two texts in name('…') of a rule.
std::vector<std::string> EdgesOf(const std::string& rules, const std::string& name) {
  std::vector<std::string> edges;
  const std::string opening = name + "('";
  for (std::size_t at = rules.find(opening); at != std::string::npos; at = rules.find(opening, at)) {
    at += opening.size();
    edges.push_back(rules.substr(at, rules.find('\'', at) - at));
  }
  return edges;
}

TEST(Crds, BoundDurationsAsTheParserDoes) {
  int found = 0;
  for (const Resource& resource : CustomResources()) {
    WalkSpec(resource, [&](const Place& place, const Json& whole) {
      const std::string rules = place.schema.value("x-kubernetes-validations", Json::array()).dump();
      const std::vector<std::string> edges = EdgesOf(rules, "duration");
      if (place.schema.value("type", "") != "string" || edges.empty()) return;
      ASSERT_EQ(edges.size(), 2u);
      found++;
      const auto least = *ParseDuration(edges[0]);
      const auto most = *ParseDuration(edges[1]);
      ExpectAccepts(resource, With(whole, place.at, edges[0]));
      ExpectAccepts(resource, With(whole, place.at, edges[1]));
      if (least.count() > 0) {
        ExpectRefuses(resource, With(whole, place.at, FormatDuration(least - std::chrono::milliseconds(1))),
                      place.field);
      }
      ExpectRefuses(resource, With(whole, place.at, FormatDuration(most + std::chrono::milliseconds(1))),
                    place.field);
      EXPECT_THAT(rules, ::testing::HasSubstr("is not a duration from " + edges[0] + " to " + edges[1]));
    });
  }
  EXPECT_EQ(found, 16);
}

TEST(Crds, BoundSizesAsTheParserDoes) {
  int found = 0;
  for (const Resource& resource : CustomResources()) {
    WalkSpec(resource, [&](const Place& place, const Json& whole) {
      const std::string rules = place.schema.value("x-kubernetes-validations", Json::array()).dump();
      const std::vector<std::string> edges = EdgesOf(rules, "quantity");
      if (edges.empty()) return;
      ASSERT_EQ(edges.size(), 2u);
      found++;
      // The rule of a list of resources is about its memory. Alone: a request stays below its limit.
      const bool list = place.schema.contains("additionalProperties");
      Json object = whole;
      if (list) object["spec"]["resources"] = Json::object();
      const Pointer at = list ? place.at / "memory" : place.at;
      const std::string field = list ? place.field + ".memory" : place.field;
      ExpectAccepts(resource, With(object, at, edges[0]));
      ExpectAccepts(resource, With(object, at, edges[1]));
      ExpectRefuses(resource, With(object, at, FormatQuantity(*ParseQuantity(edges[0]) - 1)), field);
      ExpectRefuses(resource, With(object, at, FormatQuantity(*ParseQuantity(edges[1]) + 1)), field);
    });
  }
  EXPECT_EQ(found, 7);
}

// A text of `size` characters that is right but for its length.
std::string TextOf(const std::string& field, std::size_t size) {
  const auto begin_with = [&](const std::string& head) {
    return head + std::string(size - head.size(), 'a');
  };
  const auto domain = [](std::size_t length) {
    std::string name(length, 'a');
    for (std::size_t n = 63; n + 1 < length; n += 64) name[n] = '.';
    return name;
  };
  if (field == "spec.artifact.url" || (field.starts_with("spec.destinations") && field.ends_with(".url")))
    return begin_with("https://");
  if (field.ends_with("path")) return begin_with("/");
  if (field.ends_with("servers[0]")) return begin_with("nats://");
  if (field.ends_with("brokers[0]") || field.ends_with("redis.server"))
    return std::string(size - 5, 'a') + ":9092";
  if (field.ends_with(".schedule") || field.ends_with(".from"))
    return "* * * * *" + std::string(size - 9, ' ');
  if (field.ends_with("postgres.host")) return std::string(size, 'a');
  if (field.ends_with(".host")) return "*." + domain(size - 2);
  if (field.ends_with("webhook.topics[0]")) return begin_with("arn:aws:sns:us-east-1:1:");
  if (field.ends_with(".key") && field.find("tolerations") != std::string::npos) {
    return domain(size - 64) + "/" + std::string(63, 'a');
  }
  const bool subdomain = field.ends_with("ccountName") || field.ends_with("ClassName") ||
                         field.ends_with("configMap.name") || field.ends_with("credentialsSecret") ||
                         field.ends_with(".secretName") ||
                         field.find("imagePullSecrets") != std::string::npos;
  return subdomain ? domain(size) : std::string(size, 'a');
}

TEST(Crds, BoundTextsAsTheParserDoes) {
  int found = 0;
  for (const Resource& resource : CustomResources()) {
    WalkSpec(resource, [&](const Place& place, const Json& whole) {
      if (place.schema.value("type", "") != "string" || place.schema.contains("enum")) return;
      const std::size_t most = place.schema.at("maxLength").get<std::size_t>();
      const bool duration = place.schema.dump().find("duration(self)") != std::string::npos;
      if (duration || place.field.ends_with("sha256")) return;  // their rules bound them closer
      found++;
      const Json object = ObjectWith(place, whole);
      // All variables together have the bound of one.
      const std::size_t room = place.field == "spec.env[0].value" ? 64 : 0;
      // The parser knows, too, which time zones there are, and the longest of their names is shorter than any may be.
      if (!place.field.ends_with("timeZone"))
        ExpectAccepts(resource, With(object, place.at, TextOf(place.field, most - room)));
      if (room == 0)
        ExpectRefuses(resource, With(object, place.at, TextOf(place.field, most + 1)), place.field);
      if (place.schema.value("minLength", 0) == 1)
        ExpectRefuses(resource, With(object, place.at, ""), place.field);
    });
  }
  EXPECT_GE(found, 20);
}

TEST(Crds, BoundListsAsTheParserDoes) {
  for (const Resource& resource : CustomResources()) {
    WalkSpec(resource, [&](const Place& place, const Json& whole) {
      if (place.schema.value("type", "") != "array") return;
      const std::size_t most = place.schema.at("maxItems").get<std::size_t>();
      if (place.schema["items"].contains("enum")) {
        EXPECT_EQ(most, place.schema["items"]["enum"].size());
        return;
      }
      const auto items = [&](std::size_t count) {
        Json list = Json::array();
        for (std::size_t n = 0; n < count; n++) {
          const std::string name = "a" + std::to_string(n);
          if (place.field.ends_with("triggers")) {
            list.push_back({{"name", name}, {"http", {{"path", "/" + name}}}});
          } else if (place.field.ends_with("tolerations")) {
            list.push_back({{"key", name}});
          } else if (place.field.ends_with("schedules")) {
            list.push_back({{"name", name}, {"from", "@daily"}, {"to", "2h"}, {"minReplicas", 1}});
          } else if (place.field.ends_with("webhook.topics")) {
            list.push_back("arn:aws:sns:us-east-1:1:" + name);
          } else if (place.field.ends_with("servers")) {
            list.push_back("nats://" + name);
          } else if (place.field.ends_with("brokers")) {
            list.push_back(name + ":9092");
          } else if (place.schema["items"].value("type", "") == "string") {
            list.push_back(name);
          } else {
            list.push_back({{"name", name}});
          }
        }
        return list;
      };
      ExpectAccepts(resource, With(whole, place.at, items(most)));
      ExpectRefuses(resource, With(whole, place.at, items(most + 1)), place.field);
    });
  }
}

TEST(Crds, BoundMapsAsTheParserDoes) {
  for (const Resource& resource : CustomResources()) {
    WalkSpec(resource, [&](const Place& place, const Json& whole) {
      if (!place.schema.contains("additionalProperties")) return;
      const std::size_t most = place.schema.at("maxProperties").get<std::size_t>();
      const Json& values = place.schema["additionalProperties"];
      const bool texts = values.value("type", "") == "string";
      const auto entries = [&](std::size_t count) {
        Json map = Json::object();
        for (std::size_t n = 0; n < count; n++) map["example.com/a" + std::to_string(n)] = "1";
        return map;
      };
      Json object = whole;
      if (!texts) object["spec"]["resources"] = Json::object();
      ExpectAccepts(resource, With(object, place.at, entries(most)));
      ExpectRefuses(resource, With(object, place.at, entries(most + 1)), place.field);
      if (!texts) return;
      const std::size_t longest = values.at("maxLength").get<std::size_t>();
      const std::string field = place.field + "[\"a\"]";
      ExpectAccepts(resource, With(whole, place.at / "a", std::string(longest, 'a')));
      ExpectRefuses(resource, With(whole, place.at / "a", std::string(longest + 1, 'a')), field);
    });
  }
}

TEST(Crds, KnowTheWordsThatTheParserKnows) {
  const std::set<std::string> others = {"CONNECT", "TRACE", "LINK", "get",    "Any",     "In",
                                        "NotIn",   "Lt",    "Gt",   "equals", "NoAdmit", "PreferNoExecute"};
  for (const Resource& resource : CustomResources()) {
    WalkSpec(resource, [&](const Place& place, const Json& whole) {
      if (!place.schema.contains("enum")) return;
      for (const Json& word : place.schema["enum"]) {
        EXPECT_TRUE(MistakesOf(resource, With(whole, place.at, word), place.field).empty()) << word;
      }
      for (const std::string& word : others)
        ExpectRefuses(resource, With(whole, place.at, word), place.field);
    });
  }
}

TEST(Crds, AreDocumentedAndBoundedThroughout) {
  for (const Resource& resource : CustomResources()) {
    const Json schema = resource.Schema();
    for (const char* part : {"spec", "status"}) {
      Walk({part, Pointer(std::string("/") + part), schema["properties"][part]}, Json(),
           [&](const Place& place) {
             SCOPED_TRACE(resource.file + ": " + place.field);
             const Json& node = place.schema;
             if (!place.field.ends_with("]")) {
               EXPECT_GE(node.value("description", "").size(), 10u);
             }
             const std::string type = node.value("type", "");
             if (type == "array") {
               EXPECT_TRUE(node.contains("maxItems") && node.contains("x-kubernetes-list-type"));
             }
             if (type == "string") {
               EXPECT_TRUE(node.contains("maxLength") || node.contains("enum") || node.contains("format"));
             }
             for (const Json& rule : node.value("x-kubernetes-validations", Json::array())) {
               EXPECT_GE(rule.value("message", "").size(), 10u) << rule;
             }
           });
    }
  }
}

}  // namespace
}  // namespace mayfly::op
