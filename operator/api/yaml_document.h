// YAML text as a tree of plain values with their places in the text.
//
// It reads what a manifest may hold and refuses, in bounded time and memory, what only an attacker writes:
// more than 1 MiB of text, nesting past 64 levels, more than 200,000 nodes or 4 MiB of scalars once aliases
// are expanded. The one place that knows yaml-cpp; no exception leaves it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mayfly::op {

inline constexpr std::size_t kMaxManifestBytes = 1u << 20;
inline constexpr std::size_t kMaxYamlDepth = 64;
inline constexpr std::size_t kMaxYamlNodes = 200'000;
inline constexpr std::size_t kMaxYamlScalarBytes = 4u << 20;

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };

  Kind kind = Kind::kNull;
  // A scalar that is a text whatever it looks like: in quotes, a block, or tagged !!str.
  bool quoted = false;
  std::string scalar;
  // A tag other than !!str, as written; "" for none.
  std::string tag;
  std::vector<YamlNode> items;     // of a sequence
  std::vector<YamlEntry> entries;  // of a map, in order, keys not yet checked
  int line = 1;                    // from 1
  int column = 1;
};

struct YamlEntry {
  YamlNode key;
  YamlNode value;
};

struct YamlDocuments {
  std::vector<YamlNode> documents;
  // Why the text is no YAML that is read here, and where; "" if it is.
  std::string error;
  int line = 1;
  int column = 1;
};

YamlDocuments ParseYaml(std::string_view text);

}  // namespace mayfly::op
