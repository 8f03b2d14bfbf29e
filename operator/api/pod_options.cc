#include "operator/api/pod_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "operator/api/names.h"
#include "operator/api/spec_bounds.h"
#include "operator/api/units.h"

namespace mayfly::op {
namespace {

// Whether "example.com/gpu" or the like: Kubernetes' business.
bool IsExtended(std::string_view resource) { return resource.find('/') != std::string_view::npos; }

// An amount as comparable units: thousandths of a core, or bytes.
absl::StatusOr<std::uint64_t> ParseAmount(std::string_view resource, std::string_view text) {
  return resource == "cpu" ? ParseCpu(text) : ParseQuantity(text);
}

std::map<std::string, std::string> ReadResourceList(FieldReader& resources, std::string_view name,
                                                    MistakeList& mistakes) {
  std::map<std::string, std::string> amounts;
  const YamlNode* node = resources.Find(name);
  if (node == nullptr) return amounts;
  FieldReader list(*node, resources.PathOf(name), mistakes);
  if (node->entries.size() > kMaxResources) {
    resources.Wrong(
        name, fmt::format("has {} entries; at most {} are allowed", node->entries.size(), kMaxResources));
    return amounts;
  }
  std::uint64_t memory = 0;
  if (list.Quantity("memory", kMemory, memory)) amounts["memory"] = list.Find("memory")->scalar;
  std::vector<std::string> others = {"cpu", "ephemeral-storage"};
  for (const YamlEntry& entry : node->entries) {
    if (IsExtended(entry.key.scalar)) others.push_back(entry.key.scalar);
  }
  for (const std::string& resource : others) {
    const YamlNode* amount = list.Find(resource);
    if (amount == nullptr) continue;
    if (IsExtended(resource)) {
      const std::string wrong = CheckLabelKey(resource);
      if (!wrong.empty()) list.Wrong(resource, wrong);
    }
    if (amount->kind != YamlNode::Kind::kScalar) {
      list.Wrong(resource,
                 resource == "cpu"
                     ? fmt::format("expected an amount of processors like 500m, found {}", Describe(*amount))
                     : fmt::format("expected an amount like 1 or 1Gi, found {}", Describe(*amount)));
    } else if (const auto parsed = ParseAmount(resource, amount->scalar); !parsed.ok()) {
      list.Wrong(resource, std::string(parsed.status().message()));
    } else {
      amounts[resource] = amount->scalar;
    }
  }
  list.Finish();
  return amounts;
}

// A mapping of texts.
std::map<std::string, std::string> ReadTexts(FieldReader& reader, std::string_view name,
                                             bool values_are_labels, MistakeList& mistakes) {
  std::map<std::string, std::string> texts;
  const YamlNode* node = reader.Find(name);
  if (node == nullptr) return texts;
  const std::string path = reader.PathOf(name);
  if (node->kind != YamlNode::Kind::kMap) {
    reader.Wrong(name, fmt::format("expected a mapping (\"key: value\" lines), found {}", Describe(*node)));
    return texts;
  }
  if (node->entries.size() > kMaxPodTexts) {
    reader.Wrong(name,
                 fmt::format("has {} entries; at most {} are allowed", node->entries.size(), kMaxPodTexts));
    return texts;
  }
  for (const YamlEntry& entry : node->entries) {
    std::string key;
    if (!ReadText(entry.key, path, mistakes, key)) continue;
    const std::string place = fmt::format("{}[{}]", path, Quote(key));
    std::string wrong = CheckLabelKey(key);
    if (wrong.empty() && name != "nodeSelector" && (key.starts_with("mayfly.dev/"))) {
      wrong = fmt::format("{} is one of Mayfly's own keys; choose another prefix", Quote(key));
    }
    if (!wrong.empty()) mistakes.Add(entry.key, place, wrong);
    std::string value;
    if (entry.value.kind != YamlNode::Kind::kNull && !ReadText(entry.value, place, mistakes, value)) continue;
    if (values_are_labels) {
      wrong = CheckLabelValue(value);
      if (!wrong.empty()) mistakes.Add(entry.value, place, wrong);
    } else if (value.size() > kMaxAnnotation) {
      mistakes.Add(entry.value, place,
                   fmt::format("has {} bytes; at most {} are allowed", value.size(), kMaxAnnotation));
    }
    if (!texts.emplace(key, value).second)
      mistakes.Add(entry.key, place, "is given twice; keep one of the two");
  }
  return texts;
}

// A text that is one of `words`; "" if absent.
template <std::size_t N>
void ReadWord(FieldReader& reader, std::string_view name, const std::array<std::string_view, N>& words,
              std::string& value) {
  if (!reader.Text(name, value)) return;
  if (std::find(words.begin(), words.end(), value) != words.end()) return;
  std::string list;
  for (const std::string_view word : words) list += (list.empty() ? "" : ", ") + std::string(word);
  reader.Wrong(name, fmt::format("{} is not known; use one of {}", Quote(value), list));
}

Toleration ReadToleration(const YamlNode& node, const std::string& path, MistakeList& mistakes) {
  constexpr std::array<std::string_view, 2> kComparisons = {"Equal", "Exists"};
  constexpr std::array<std::string_view, 3> kEffects = {"NoExecute", "NoSchedule", "PreferNoSchedule"};
  FieldReader reader(node, path, mistakes);
  Toleration toleration;
  if (reader.Text("key", toleration.key) && !toleration.key.empty()) {
    const std::string wrong = CheckLabelKey(toleration.key);
    if (!wrong.empty()) reader.Wrong("key", wrong);
  }
  ReadWord(reader, "operator", kComparisons, toleration.comparison);
  if (reader.Text("value", toleration.value)) {
    const std::string wrong = CheckLabelValue(toleration.value);
    if (!wrong.empty()) reader.Wrong("value", wrong);
  }
  ReadWord(reader, "effect", kEffects, toleration.effect);
  std::int32_t seconds = 0;
  if (reader.Integer("tolerationSeconds", kTolerationSeconds, seconds))
    toleration.toleration_seconds = seconds;
  if (reader.is_map() && toleration.key.empty() && toleration.comparison != "Exists") {
    reader.Wrong("key",
                 "is missing; name the taint's key, or write operator: Exists to tolerate every taint");
  }
  if (toleration.comparison == "Exists" && !toleration.value.empty()) {
    reader.Wrong("value", "has no meaning with operator Exists; leave it out, or write operator: Equal");
  }
  if (toleration.toleration_seconds && toleration.effect != "NoExecute") {
    reader.Wrong("tolerationSeconds", "has a meaning with effect NoExecute alone; set that, or leave it out");
  }
  reader.Finish();
  return toleration;
}

}  // namespace

Resources ReadResources(FieldReader& spec, MistakeList& mistakes) {
  Resources result;
  const YamlNode* node = spec.Find("resources");
  if (node == nullptr) return result;
  FieldReader resources(*node, spec.PathOf("resources"), mistakes);
  result.requests = ReadResourceList(resources, "requests", mistakes);
  result.limits = ReadResourceList(resources, "limits", mistakes);
  for (const auto& [resource, request] : result.requests) {
    const auto limit = result.limits.find(resource);
    if (limit == result.limits.end()) continue;
    if (*ParseAmount(resource, request) > *ParseAmount(resource, limit->second)) {
      resources.Wrong("requests",
                      fmt::format("{} {} is more than its limit {}; lower the request or raise the limit",
                                  FieldName(resource), request, limit->second));
    }
  }
  resources.Finish();
  return result;
}

std::uint64_t MemoryLimit(const Resources& resources) {
  const auto limit = resources.limits.find("memory");
  return limit == resources.limits.end() ? 0 : ParseQuantity(limit->second).value_or(0);
}

std::vector<std::string> ReadImagePullSecrets(FieldReader& spec, MistakeList& mistakes) {
  std::vector<std::string> names;
  const std::vector<YamlNode>& items = spec.List("imagePullSecrets", kMaxPullSecrets);
  for (std::size_t n = 0; n < items.size(); n++) {
    FieldReader item(items[n], fmt::format("{}[{}]", spec.PathOf("imagePullSecrets"), n), mistakes);
    std::string name;
    if (item.Text("name", name)) {
      const std::string wrong = CheckSubdomain(name);
      if (!wrong.empty()) item.Wrong("name", wrong);
      if (std::find(names.begin(), names.end(), name) != names.end()) {
        item.Wrong("name", fmt::format("{} is listed twice; keep one", Quote(name)));
      }
      names.push_back(std::move(name));
    } else if (item.is_map() && item.Find("name") == nullptr) {
      item.Wrong("name", "is missing; name the Secret");
    }
    item.Finish();
  }
  return names;
}

PodOptions ReadPodOptions(FieldReader& reader, MistakeList& mistakes) {
  PodOptions options;
  if (reader.Text("image", options.image)) {
    const std::string wrong = CheckImage(options.image);
    if (!wrong.empty()) reader.Wrong("image", wrong);
  }
  if (reader.Text("serviceAccountName", options.service_account_name)) {
    const std::string wrong = CheckSubdomain(options.service_account_name);
    if (!wrong.empty()) reader.Wrong("serviceAccountName", wrong);
  }
  options.node_selector = ReadTexts(reader, "nodeSelector", true, mistakes);
  const std::vector<YamlNode>& items = reader.List("tolerations", kMaxTolerations);
  for (std::size_t n = 0; n < items.size(); n++) {
    options.tolerations.push_back(
        ReadToleration(items[n], fmt::format("{}[{}]", reader.PathOf("tolerations"), n), mistakes));
  }
  if (reader.Text("runtimeClassName", options.runtime_class_name)) {
    const std::string wrong = CheckSubdomain(options.runtime_class_name);
    if (!wrong.empty()) reader.Wrong("runtimeClassName", wrong);
  }
  options.labels = ReadTexts(reader, "podLabels", true, mistakes);
  options.annotations = ReadTexts(reader, "podAnnotations", false, mistakes);
  return options;
}

PodOptions ReadRuntime(const YamlNode& node, const std::string& path, MistakeList& mistakes) {
  FieldReader reader(node, path, mistakes);
  PodOptions options = ReadPodOptions(reader, mistakes);
  reader.Finish();
  return options;
}

}  // namespace mayfly::op
