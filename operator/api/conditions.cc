#include "operator/api/conditions.h"

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "operator/api/object_meta.h"

namespace mayfly::op {
namespace {

const char* Name(ConditionStatus status) {
  switch (status) {
    case ConditionStatus::kTrue:
      return "True";
    case ConditionStatus::kFalse:
      return "False";
    case ConditionStatus::kUnknown:
      break;
  }
  return "Unknown";
}

ConditionStatus StatusOf(std::string_view name) {
  if (name == "True") return ConditionStatus::kTrue;
  return name == "False" ? ConditionStatus::kFalse : ConditionStatus::kUnknown;
}

}  // namespace

std::string CutText(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t size = most - 3;  // for the "…"
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) size--;
  return text.substr(0, size) + "…";
}

nlohmann::json ConditionsToJson(const std::vector<Condition>& conditions, std::int64_t observed_generation) {
  nlohmann::json list = nlohmann::json::array();
  for (const Condition& condition : conditions) {
    list.push_back({{"type", condition.type},
                    {"status", Name(condition.status)},
                    {"observedGeneration", observed_generation},
                    {"lastTransitionTime", FormatTime(condition.last_transition)},
                    // It must not be empty.
                    {"reason", condition.reason.empty() ? condition.type : condition.reason},
                    {"message", CutText(condition.message, kMaxMessage)}});
  }
  return list;
}

std::vector<Condition> ReadConditions(const YamlNode* node) {
  std::vector<Condition> conditions;
  if (node == nullptr) return conditions;
  for (const YamlNode& item : node->items) {
    Condition& condition = conditions.emplace_back();
    condition.type = TextOr(FindEntry(&item, "type"));
    condition.status = StatusOf(TextOr(FindEntry(&item, "status")));
    condition.reason = TextOr(FindEntry(&item, "reason"));
    condition.message = TextOr(FindEntry(&item, "message"));
    condition.last_transition =
        ParseTime(TextOr(FindEntry(&item, "lastTransitionTime"))).value_or(condition.last_transition);
  }
  return conditions;
}

}  // namespace mayfly::op
