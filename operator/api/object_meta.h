// metadata of an object of the API server, as far as the operator needs it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "operator/api/yaml_document.h"

namespace mayfly::op {

struct ObjectMeta {
  std::string name;
  std::string space;  // metadata.namespace; "" for an object of no namespace
  std::string uid;
  std::string resource_version;
  std::int64_t generation = 0;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
  std::vector<std::string> finalizers;
  std::chrono::system_clock::time_point created;
  // Set while it is being deleted.
  std::optional<std::chrono::system_clock::time_point> deleted;

  // "namespace/name".
  std::string Key() const { return space + "/" + name; }

  bool operator==(const ObjectMeta&) const = default;
};

// metadata of `object`, which the API server has validated: what is not read here is passed over, whatever it is.
// kInvalidArgument if there is no name.
absl::StatusOr<ObjectMeta> ReadObjectMeta(const YamlNode& object);

// The value of `name` in a mapping; null if there is none, or `node` is null or no mapping.
const YamlNode* FindEntry(const YamlNode* node, std::string_view name);
// A text, a number of at most 64 bits; else `otherwise`.
std::string TextOr(const YamlNode* node, std::string_view otherwise = "");
std::int64_t IntegerOr(const YamlNode* node, std::int64_t otherwise = 0);

// "2026-03-01T12:00:00Z", to the second, as metav1.Time is.
std::string FormatTime(std::chrono::system_clock::time_point time);
// As RFC 3339 writes it, with or without fractions.
std::optional<std::chrono::system_clock::time_point> ParseTime(std::string_view text);

}  // namespace mayfly::op
