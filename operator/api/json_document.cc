#include "operator/api/json_document.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <cstdint>
#include <string>
#include <utility>

namespace mayfly::op {
namespace {

class TreeBuilder {
 public:
  // False once the tree is too large.
  bool Build(simdjson::dom::element element, YamlNode& node) {
    node.line = 0;
    node.column = 0;
    if (++nodes_ > kMaxYamlNodes) return false;
    switch (element.type()) {
      case simdjson::dom::element_type::NULL_VALUE:
        return true;
      case simdjson::dom::element_type::ARRAY:
        return BuildItems(element.get_array().value_unsafe(), node);
      case simdjson::dom::element_type::OBJECT:
        return BuildEntries(element.get_object().value_unsafe(), node);
      case simdjson::dom::element_type::STRING:
        SetText(node, element.get_string().value_unsafe());
        return true;
      case simdjson::dom::element_type::BOOL:
        SetPlain(node, element.get_bool().value_unsafe() ? "true" : "false");
        return true;
      case simdjson::dom::element_type::INT64:
        SetPlain(node, fmt::format("{}", element.get_int64().value_unsafe()));
        return true;
      case simdjson::dom::element_type::UINT64:
        SetPlain(node, fmt::format("{}", element.get_uint64().value_unsafe()));
        return true;
      case simdjson::dom::element_type::DOUBLE:
        SetPlain(node, Number(element.get_double().value_unsafe()));
        return true;
    }
    return true;
  }

 private:
  bool BuildItems(simdjson::dom::array array, YamlNode& node) {
    node.kind = YamlNode::Kind::kSequence;
    for (const simdjson::dom::element item : array) {
      if (!Build(item, node.items.emplace_back())) return false;
    }
    return true;
  }
  bool BuildEntries(simdjson::dom::object object, YamlNode& node) {
    node.kind = YamlNode::Kind::kMap;
    for (const simdjson::dom::key_value_pair field : object) {
      YamlEntry& entry = node.entries.emplace_back();
      SetText(entry.key, field.key);
      if (!Build(field.value, entry.value)) return false;
    }
    return true;
  }
  // A fraction stays one, even if it is whole.
  static std::string Number(double value) {
    std::string text = fmt::format("{}", value);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
  }
  static void SetPlain(YamlNode& node, std::string text) {
    node.kind = YamlNode::Kind::kScalar;
    node.scalar = std::move(text);
  }
  static void SetText(YamlNode& node, std::string_view text) {
    SetPlain(node, std::string(text));
    node.quoted = true;
    node.line = 0;
    node.column = 0;
  }

  std::size_t nodes_ = 0;
};

}  // namespace

absl::StatusOr<YamlNode> ParseJson(std::string_view text) {
  if (text.size() > kMaxJsonBytes) {
    return absl::InvalidArgumentError(fmt::format("the object has {} bytes, more than 4 MiB", text.size()));
  }
  simdjson::dom::parser parser(kMaxJsonBytes);
  simdjson::error_code error = parser.allocate(text.size() + 1, kMaxJsonDepth);
  simdjson::dom::element root;
  if (error == simdjson::SUCCESS) error = parser.parse(text.data(), text.size()).get(root);
  if (error == simdjson::DEPTH_ERROR) {
    return absl::InvalidArgumentError(
        fmt::format("the object is nested more than {} levels deep; make it flatter", kMaxJsonDepth));
  }
  if (error != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(fmt::format("this is not JSON: {}", simdjson::error_message(error)));
  }
  YamlNode node;
  if (!TreeBuilder().Build(root, node)) {
    return absl::InvalidArgumentError(
        fmt::format("the object has more than {} values; make it smaller", kMaxYamlNodes));
  }
  return node;
}

}  // namespace mayfly::op
