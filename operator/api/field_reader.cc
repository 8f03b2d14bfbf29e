#include "operator/api/field_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <variant>

#include "operator/api/units.h"
#include "operator/api/yaml_scalar.h"

namespace mayfly::op {
namespace {

std::string Lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

// How many insertions, deletions, replacements and swaps of neighbours make `b` of `a`.
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); i++) {
    for (std::size_t j = 0; j <= b.size(); j++) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const std::size_t replace = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

void MistakeList::Add(const YamlNode& where, std::string field, std::string sentence) {
  if (mistakes_.size() >= kMaxMistakes) {
    left_out_++;
    return;
  }
  mistakes_.push_back({file_, where.line, where.column, std::move(field), std::move(sentence)});
}

std::vector<Mistake> MistakeList::Take() {
  if (left_out_ > 0) mistakes_.back().sentence += fmt::format(" (and {} more mistakes)", left_out_);
  left_out_ = 0;
  return std::exchange(mistakes_, {});
}

std::string Quote(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  std::string result = "\"";
  std::size_t size = std::min(text.size(), kLongest);
  // Not in the middle of a character.
  while (size < text.size() && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) size--;
  for (const char c : text.substr(0, size)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + (text.size() > size ? "…\"" : "\"");
}

std::string FieldName(std::string_view name) {
  const bool plain = name.size() <= 80 && name.find_first_not_of(
                                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789_-./") == std::string_view::npos;
  return plain && !name.empty() ? std::string(name) : Quote(name);
}

std::string Describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a mapping";
    case YamlNode::Kind::kScalar:
      break;
  }
  const ScalarValue value = ResolveScalar(node);
  if (std::holds_alternative<std::string>(value)) return "the text " + Quote(node.scalar);
  if (std::holds_alternative<bool>(value)) return "the bool " + node.scalar;
  return "the number " + Quote(node.scalar);
}

std::string NearestOf(std::string_view word, const std::vector<std::string>& known) {
  if (word.empty() || word.size() > 64) return {};
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = EditDistance(Lower(word), Lower(candidate));
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  for (const std::string& candidate : known) {
    if (best.empty() && word.size() >= 4 && Lower(candidate).starts_with(Lower(word))) best = candidate;
  }
  return best;
}

bool ReadText(const YamlNode& node, const std::string& path, MistakeList& mistakes, std::string& value) {
  if (node.kind != YamlNode::Kind::kScalar) {
    mistakes.Add(node, path, fmt::format("expected a text, found {}", Describe(node)));
    return false;
  }
  const ScalarValue resolved = ResolveScalar(node);
  if (const auto* text = std::get_if<std::string>(&resolved)) {
    value = *text;
    return true;
  }
  if (const auto* ambiguous = std::get_if<AmbiguousScalar>(&resolved)) {
    mistakes.Add(node, path, ambiguous->sentence);
  } else {
    mistakes.Add(
        node, path,
        fmt::format("expected a text, found {}; put it in quotes: {}", Describe(node), Quote(node.scalar)));
  }
  return false;
}

FieldReader::FieldReader(const YamlNode& node, std::string path, MistakeList& mistakes)
    : node_(node), path_(std::move(path)), mistakes_(mistakes) {
  if (!is_map()) {
    mistakes_.Add(node_, path_,
                  fmt::format("expected a mapping (\"key: value\" lines), found {}", Describe(node_)));
    return;
  }
  std::set<std::string_view> seen;
  for (const YamlEntry& entry : node_.entries) {
    if (entry.key.kind == YamlNode::Kind::kScalar && !seen.insert(entry.key.scalar).second) {
      mistakes_.Add(entry.key, PathOf(FieldName(entry.key.scalar)), "is given twice; keep one of the two");
    }
  }
}

std::string FieldReader::PathOf(std::string_view name) const {
  if (name.empty()) return path_;
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

const YamlNode* FieldReader::Find(std::string_view name) {
  if (std::find(known_.begin(), known_.end(), name) == known_.end()) known_.emplace_back(name);
  for (const YamlEntry& entry : node_.entries) {
    if (entry.key.kind != YamlNode::Kind::kScalar || entry.key.scalar != name) continue;
    return entry.value.kind == YamlNode::Kind::kNull ? nullptr : &entry.value;
  }
  return nullptr;
}

bool FieldReader::Text(std::string_view name, std::string& value) {
  const YamlNode* node = Find(name);
  return node != nullptr && ReadText(*node, PathOf(name), mistakes_, value);
}

bool FieldReader::Integer(std::string_view name, Bounds<std::int32_t> bounds, std::int32_t& value) {
  const YamlNode* node = Find(name);
  if (node == nullptr) return false;
  if (node->kind != YamlNode::Kind::kScalar) {
    mistakes_.Add(*node, PathOf(name), fmt::format("expected a whole number, found {}", Describe(*node)));
    return false;
  }
  const ScalarValue resolved = ResolveScalar(*node);
  const auto* number = std::get_if<std::int64_t>(&resolved);
  if (number == nullptr) {
    if (std::holds_alternative<std::uint64_t>(resolved)) {
      mistakes_.Add(
          *node, PathOf(name),
          fmt::format("{} is more than {}; use {} or less", Quote(node->scalar), bounds.most, bounds.most));
    } else if (const auto* ambiguous = std::get_if<AmbiguousScalar>(&resolved)) {
      mistakes_.Add(*node, PathOf(name), ambiguous->sentence);
    } else {
      mistakes_.Add(*node, PathOf(name),
                    fmt::format("expected a whole number, found {}{}", Describe(*node),
                                node->quoted ? "; write it without quotes" : ""));
    }
    return false;
  }
  if (*number < bounds.least) {
    mistakes_.Add(
        *node, PathOf(name),
        fmt::format("{} is less than {}; use {} or more", Quote(node->scalar), bounds.least, bounds.least));
    return false;
  }
  if (*number > bounds.most) {
    mistakes_.Add(
        *node, PathOf(name),
        fmt::format("{} is more than {}; use {} or less", Quote(node->scalar), bounds.most, bounds.most));
    return false;
  }
  value = static_cast<std::int32_t>(*number);
  return true;
}

bool FieldReader::Duration(std::string_view name, Bounds<std::chrono::milliseconds> bounds,
                           std::chrono::milliseconds& value) {
  const YamlNode* node = Find(name);
  if (node == nullptr) return false;
  if (node->kind != YamlNode::Kind::kScalar) {
    mistakes_.Add(*node, PathOf(name),
                  fmt::format("expected a duration like 30s, found {}", Describe(*node)));
    return false;
  }
  const auto duration = ParseDuration(node->scalar);
  if (!duration.ok()) {
    mistakes_.Add(*node, PathOf(name), std::string(duration.status().message()));
    return false;
  }
  if (*duration < bounds.least) {
    mistakes_.Add(*node, PathOf(name),
                  fmt::format("{} is less than {}; use {} or more", Quote(node->scalar),
                              FormatDuration(bounds.least), FormatDuration(bounds.least)));
    return false;
  }
  if (*duration > bounds.most) {
    mistakes_.Add(*node, PathOf(name),
                  fmt::format("{} is more than {}; use {} or less", Quote(node->scalar),
                              FormatDuration(bounds.most), FormatDuration(bounds.most)));
    return false;
  }
  value = *duration;
  return true;
}

bool FieldReader::Quantity(std::string_view name, Bounds<std::uint64_t> bounds, std::uint64_t& value) {
  const YamlNode* node = Find(name);
  if (node == nullptr) return false;
  if (node->kind != YamlNode::Kind::kScalar) {
    mistakes_.Add(*node, PathOf(name), fmt::format("expected a size like 64Mi, found {}", Describe(*node)));
    return false;
  }
  const auto bytes = ParseQuantity(node->scalar);
  if (!bytes.ok()) {
    mistakes_.Add(*node, PathOf(name), std::string(bytes.status().message()));
    return false;
  }
  if (*bytes < bounds.least) {
    mistakes_.Add(*node, PathOf(name),
                  fmt::format("{} is less than {}; use {} or more", Quote(node->scalar),
                              FormatQuantity(bounds.least), FormatQuantity(bounds.least)));
    return false;
  }
  if (*bytes > bounds.most) {
    mistakes_.Add(*node, PathOf(name),
                  fmt::format("{} is more than {}; use {} or less", Quote(node->scalar),
                              FormatQuantity(bounds.most), FormatQuantity(bounds.most)));
    return false;
  }
  value = *bytes;
  return true;
}

const std::vector<YamlNode>& FieldReader::List(std::string_view name, std::size_t most,
                                               std::string_view item) {
  static const std::vector<YamlNode> kNone;
  const YamlNode* node = Find(name);
  if (node == nullptr) return kNone;
  if (node->kind != YamlNode::Kind::kSequence) {
    mistakes_.Add(*node, PathOf(name),
                  fmt::format("expected a list (\"- {}\" lines), found {}", item, Describe(*node)));
    return kNone;
  }
  if (node->items.size() > most) {
    mistakes_.Add(*node, PathOf(name),
                  fmt::format("has {} items; at most {} are allowed", node->items.size(), most));
    return kNone;
  }
  return node->items;
}

bool FieldReader::Refuse(std::string_view name, const std::string& sentence) {
  refused_.emplace_back(name);
  const YamlNode* node = Find(name);
  if (node != nullptr) mistakes_.Add(*node, PathOf(name), sentence);
  return node != nullptr;
}

void FieldReader::Wrong(std::string_view name, std::string sentence) {
  const YamlNode* where = &node_;
  for (const YamlEntry& entry : node_.entries) {
    const bool named = entry.key.kind == YamlNode::Kind::kScalar && entry.key.scalar == name;
    if (named) where = entry.value.kind == YamlNode::Kind::kNull ? &entry.key : &entry.value;
  }
  mistakes_.Add(*where, PathOf(name), std::move(sentence));
}

void FieldReader::Finish() {
  if (KnownFields* observer = mistakes_.observer()) {
    observer->served[path_].insert(known_.begin(), known_.end());
    observer->refused[path_].insert(refused_.begin(), refused_.end());
    for (const std::string& name : refused_) observer->served[path_].erase(name);
  }
  if (mistakes_.unknown_fields() == UnknownFields::kIgnore) return;
  for (const YamlEntry& entry : node_.entries) {
    if (entry.key.kind != YamlNode::Kind::kScalar) {
      mistakes_.Add(entry.key, path_, fmt::format("expected a field's name, found {}", Describe(entry.key)));
      continue;
    }
    const std::string& name = entry.key.scalar;
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    if (name == "<<") {
      mistakes_.Add(entry.key, path_, "merge keys (\"<<\") are not part of YAML 1.2; write the fields out");
      continue;
    }
    if (mistakes_.full()) {
      mistakes_.Add(entry.key, "", "");  // only counted
      continue;
    }
    const std::string nearest = NearestOf(name, known_);
    const std::string where = path_.empty() ? "the manifest" : path_;
    mistakes_.Add(entry.key, PathOf(FieldName(name)),
                  nearest.empty()
                      ? fmt::format("is not a field of {}; it has {}", where, fmt::join(known_, ", "))
                      : fmt::format("is not a field of {}; did you mean \"{}\"?", where, nearest));
  }
}

}  // namespace mayfly::op
