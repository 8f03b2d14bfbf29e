#include "operator/api/config_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <variant>

#include "operator/api/yaml_scalar.h"

namespace mayfly::op {
namespace {

nlohmann::json Convert(const YamlNode& node, const std::string& path, MistakeList& mistakes);

nlohmann::json ConvertScalar(const YamlNode& node, const std::string& path, MistakeList& mistakes) {
  return std::visit(
      [&](const auto& value) -> nlohmann::json {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, AmbiguousScalar>) {
          mistakes.Add(node, path, value.sentence);
          return nullptr;
        } else {
          return value;
        }
      },
      ResolveScalar(node));
}

nlohmann::json ConvertMap(const YamlNode& node, const std::string& path, MistakeList& mistakes) {
  nlohmann::json result = nlohmann::json::object();
  for (const YamlEntry& entry : node.entries) {
    if (entry.key.kind != YamlNode::Kind::kScalar) {
      mistakes.Add(entry.key, path,
                   fmt::format("expected a key, found {}; JSON has texts as keys only", Describe(entry.key)));
      continue;
    }
    const std::string& key = entry.key.scalar;
    const std::string key_path = path + "." + FieldName(key);
    if (!entry.key.quoted && key == "<<") {
      mistakes.Add(entry.key, path, "merge keys (\"<<\") are not part of YAML 1.2; write the fields out");
    } else if (result.contains(key)) {
      mistakes.Add(entry.key, key_path, "is given twice; keep one of the two");
    } else {
      result[key] = Convert(entry.value, key_path, mistakes);
    }
  }
  return result;
}

nlohmann::json Convert(const YamlNode& node, const std::string& path, MistakeList& mistakes) {
  if (!node.tag.empty()) {
    mistakes.Add(node, path, fmt::format("the tag {} is not known here; leave it out", Quote(node.tag)));
    return nullptr;
  }
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return nullptr;
    case YamlNode::Kind::kScalar:
      return ConvertScalar(node, path, mistakes);
    case YamlNode::Kind::kSequence: {
      nlohmann::json result = nlohmann::json::array();
      for (std::size_t n = 0; n < node.items.size(); n++) {
        result.push_back(Convert(node.items[n], fmt::format("{}[{}]", path, n), mistakes));
      }
      return result;
    }
    case YamlNode::Kind::kMap:
      return ConvertMap(node, path, mistakes);
  }
  return nullptr;
}

}  // namespace

std::string ConfigToJson(const YamlNode& node, const std::string& path, MistakeList& mistakes) {
  if (node.kind != YamlNode::Kind::kMap) {
    mistakes.Add(node, path,
                 fmt::format("expected a mapping (\"key: value\" lines), found {}", Describe(node)));
    return {};
  }
  // The parser lets nothing but UTF-8 through, yet escapes ("\xff") may make what is none.
  std::string json =
      Convert(node, path, mistakes).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (json.size() > kMaxConfigBytes) {
    mistakes.Add(
        node, path,
        fmt::format(
            "has {} bytes as JSON; at most 256 KiB are allowed: put large data into a file of the module's",
            json.size()));
  }
  return json;
}

}  // namespace mayfly::op
