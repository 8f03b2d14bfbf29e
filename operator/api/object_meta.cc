#include "operator/api/object_meta.h"

#include <absl/time/time.h>

#include <utility>
#include <variant>

#include "operator/api/yaml_scalar.h"

namespace mayfly::op {
namespace {

std::map<std::string, std::string> Texts(const YamlNode* node) {
  std::map<std::string, std::string> result;
  if (node == nullptr) return result;
  for (const YamlEntry& entry : node->entries) result.emplace(entry.key.scalar, TextOr(&entry.value));
  return result;
}

}  // namespace

const YamlNode* FindEntry(const YamlNode* node, std::string_view name) {
  if (node == nullptr) return nullptr;
  for (const YamlEntry& entry : node->entries) {
    if (entry.key.scalar == name) return entry.value.kind == YamlNode::Kind::kNull ? nullptr : &entry.value;
  }
  return nullptr;
}

std::string TextOr(const YamlNode* node, std::string_view otherwise) {
  const bool text = node != nullptr && node->kind == YamlNode::Kind::kScalar && node->quoted;
  return text ? node->scalar : std::string(otherwise);
}

std::int64_t IntegerOr(const YamlNode* node, std::int64_t otherwise) {
  if (node == nullptr || node->kind != YamlNode::Kind::kScalar) return otherwise;
  const ScalarValue value = ResolveScalar(*node);
  const auto* number = std::get_if<std::int64_t>(&value);
  return number == nullptr ? otherwise : *number;
}

std::string FormatTime(std::chrono::system_clock::time_point time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(time), absl::UTCTimeZone());
}

std::optional<std::chrono::system_clock::time_point> ParseTime(std::string_view text) {
  absl::Time time;
  // "infinite-future" is a time to absl, and none to anybody else.
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  if (!absl::ParseTime(absl::RFC3339_full, absl::string_view(text.data(), text.size()), &time, nullptr)) {
    return std::nullopt;
  }
  return absl::ToChronoTime(time);
}

absl::StatusOr<ObjectMeta> ReadObjectMeta(const YamlNode& object) {
  const YamlNode* metadata = FindEntry(&object, "metadata");
  ObjectMeta meta;
  meta.name = TextOr(FindEntry(metadata, "name"));
  if (meta.name.empty()) return absl::InvalidArgumentError("the object has no metadata.name");
  meta.space = TextOr(FindEntry(metadata, "namespace"));
  meta.uid = TextOr(FindEntry(metadata, "uid"));
  meta.resource_version = TextOr(FindEntry(metadata, "resourceVersion"));
  meta.generation = IntegerOr(FindEntry(metadata, "generation"));
  meta.labels = Texts(FindEntry(metadata, "labels"));
  meta.annotations = Texts(FindEntry(metadata, "annotations"));
  if (const YamlNode* finalizers = FindEntry(metadata, "finalizers")) {
    for (const YamlNode& item : finalizers->items) meta.finalizers.push_back(TextOr(&item));
  }
  meta.created = ParseTime(TextOr(FindEntry(metadata, "creationTimestamp"))).value_or(meta.created);
  meta.deleted = ParseTime(TextOr(FindEntry(metadata, "deletionTimestamp")));
  return meta;
}

}  // namespace mayfly::op
