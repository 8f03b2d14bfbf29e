#include "operator/api/secret_manifest.h"

#include <fmt/format.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "operator/api/field_reader.h"

namespace mayfly::op {
namespace {

const YamlNode* FieldOf(const YamlNode& map, std::string_view name) {
  for (const YamlEntry& entry : map.entries) {
    if (entry.key.scalar == name && entry.value.kind != YamlNode::Kind::kNull) return &entry.value;
  }
  return nullptr;
}

std::string TextOf(const YamlNode& map, std::string_view name) {
  const YamlNode* const node = FieldOf(map, name);
  return node == nullptr ? "" : node->scalar;
}

// Adds the fields of `node`; returns what is wrong.
std::string ReadData(const YamlNode* node, std::string_view field, bool base64, SecretManifest& secret) {
  if (node == nullptr) return "";
  if (node->kind != YamlNode::Kind::kMap) return fmt::format("{} is not a mapping", field);
  for (const YamlEntry& entry : node->entries) {
    const std::string& key = entry.key.scalar;
    if (entry.value.kind == YamlNode::Kind::kSequence || entry.value.kind == YamlNode::Kind::kMap)
      return fmt::format("{}[{}] is not a text", field, Quote(key));
    std::string value = entry.value.scalar;
    if (base64) {
      std::string decoded;
      const std::string one_line = absl::StrReplaceAll(value, {{"\n", ""}, {"\r", ""}, {" ", ""}});
      if (!absl::Base64Unescape(one_line, &decoded))
        return fmt::format("{}[{}] is not base64; stringData takes plain text", field, Quote(key));
      value = std::move(decoded);
    }
    secret.data[key] = std::move(value);
  }
  return "";
}

}  // namespace

bool IsSecret(const YamlNode& document) {
  return document.kind == YamlNode::Kind::kMap && TextOf(document, "apiVersion") == "v1" &&
         TextOf(document, "kind") == "Secret";
}

std::vector<SecretManifest> ReadSecrets(std::string_view text) {
  std::vector<SecretManifest> secrets;
  const YamlDocuments yaml = ParseYaml(text);
  for (const YamlNode& document : yaml.documents) {
    if (!IsSecret(document)) continue;
    const YamlNode* const metadata = FieldOf(document, "metadata");
    SecretManifest secret;
    if (metadata != nullptr) {
      secret.name = TextOf(*metadata, "name");
      if (const std::string space = TextOf(*metadata, "namespace"); !space.empty()) secret.space = space;
    }
    if (secret.name.empty()) continue;
    secret.problem = ReadData(FieldOf(document, "data"), "data", true, secret);
    if (secret.problem.empty())
      secret.problem = ReadData(FieldOf(document, "stringData"), "stringData", false, secret);
    if (!secret.problem.empty()) secret.data.clear();
    secrets.push_back(std::move(secret));
  }
  return secrets;
}

}  // namespace mayfly::op
