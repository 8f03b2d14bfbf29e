// JSON text as the same tree that YAML text becomes, so that one reader serves a file and the API server's objects.
//
// Texts are quoted scalars, numbers and bools plain ones. A tree of JSON has no places: line and column are 0.
// Bounded as YAML is, but for the size: 4 MiB, since an object comes with what the API server keeps beside it. The
// one place of this folder that knows simdjson. Thread-safe.
#pragma once

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"
#include "operator/api/yaml_document.h"

namespace mayfly::op {

inline constexpr std::size_t kMaxJsonBytes = 4u << 20;
// Deeper than a manifest: the API server repeats an object's fields in metadata.managedFields.
inline constexpr std::size_t kMaxJsonDepth = kMaxYamlDepth + 16;

// kInvalidArgument with why this is no JSON that is read here.
absl::StatusOr<YamlNode> ParseJson(std::string_view text);

}  // namespace mayfly::op
