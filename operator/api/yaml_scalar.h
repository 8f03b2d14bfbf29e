// What a YAML scalar means: the JSON-like types of YAML 1.2, which is also what the Kubernetes API server
// reads, and a clear refusal of what YAML 1.1 and 1.2 read differently ("yes", "0123").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "operator/api/yaml_document.h"

namespace mayfly::op {

// A scalar that must not be guessed at; `sentence` says why and what to write.
struct AmbiguousScalar {
  std::string sentence;
};

using ScalarValue = std::variant<std::string, bool, std::int64_t, std::uint64_t, double, AmbiguousScalar>;

// REQUIRES: node.kind is kScalar. uint64_t is used only above the range of int64_t.
ScalarValue ResolveScalar(const YamlNode& node);

}  // namespace mayfly::op
