// spec.config as the JSON that a module's create() gets.
#pragma once

#include <string>

#include "operator/api/field_reader.h"
#include "operator/api/yaml_document.h"

namespace mayfly::op {

inline constexpr std::size_t kMaxConfigBytes = 256u << 10;

// Numbers and bools stay what they are, what is in quotes stays a text; keys are sorted, so that their order
// in the manifest makes no new revision. "" after a mistake.
std::string ConfigToJson(const YamlNode& node, const std::string& path, MistakeList& mistakes);

}  // namespace mayfly::op
