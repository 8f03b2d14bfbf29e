// Conditions as metav1.Condition, for the statuses of this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "operator/api/function.h"
#include "operator/api/yaml_document.h"

namespace mayfly::op {

// The API server takes no longer ones; see deploy/crds/.
inline constexpr std::size_t kMaxMessage = 32'768;
inline constexpr std::size_t kMaxReason = 1024;

// At most `most` bytes, cut between characters.
std::string CutText(const std::string& text, std::size_t most);

nlohmann::json ConditionsToJson(const std::vector<Condition>& conditions, std::int64_t observed_generation);

// `node` is the field "conditions" of a status; null for none.
std::vector<Condition> ReadConditions(const YamlNode* node);

}  // namespace mayfly::op
