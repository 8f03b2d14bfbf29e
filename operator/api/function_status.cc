#include "operator/api/function_status.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/api/object_meta.h"

namespace mayfly::op {
namespace {

using Json = nlohmann::json;

// The API server takes no longer ones; see deploy/crds/functions.yaml.
constexpr std::size_t kMaxMessage = 32'768;
constexpr std::size_t kMaxReason = 1024;

std::string Cut(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t size = most - 3;  // for the "…"
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) size--;
  return text.substr(0, size) + "…";
}

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

ConditionStatus ConditionStatusOf(std::string_view name) {
  if (name == "True") return ConditionStatus::kTrue;
  return name == "False" ? ConditionStatus::kFalse : ConditionStatus::kUnknown;
}

// metav1.Condition, whose reason must not be empty.
Json ConditionToJson(const Condition& condition, std::int64_t generation) {
  return {{"type", condition.type},
          {"status", Name(condition.status)},
          {"observedGeneration", generation},
          {"lastTransitionTime", FormatTime(condition.last_transition)},
          {"reason", condition.reason.empty() ? condition.type : condition.reason},
          {"message", Cut(condition.message, kMaxMessage)}};
}

Json FailureToJson(const FunctionStatus& status) {
  Json failure = {{"component", status.last_failure->component()},
                  {"reason", status.last_failure->reason()},
                  {"message", Cut(status.last_failure->message(), kMaxMessage)}};
  failure["time"] = FormatTime(status.last_failure_time);
  return failure;
}

std::int32_t Replicas(const YamlNode* node) {
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(IntegerOr(node), 0, INT32_MAX));
}

Condition ReadCondition(const YamlNode& node) {
  Condition condition;
  condition.type = TextOr(FindEntry(&node, "type"));
  condition.status = ConditionStatusOf(TextOr(FindEntry(&node, "status")));
  condition.reason = TextOr(FindEntry(&node, "reason"));
  condition.message = TextOr(FindEntry(&node, "message"));
  condition.last_transition =
      ParseTime(TextOr(FindEntry(&node, "lastTransitionTime"))).value_or(condition.last_transition);
  return condition;
}

}  // namespace

std::string FunctionStatusToJson(const FunctionStatus& status, std::string_view name, AbsentFields absent) {
  Json json = {{"observedGeneration", status.observed_generation},
               {"replicas", status.replicas},
               {"readyReplicas", status.ready_replicas},
               {"desiredReplicas", status.desired_replicas},
               {"selector", std::string(kFunctionLabel) + "=" + std::string(name)},
               {"conditions", Json::array()}};
  for (const Condition& condition : status.conditions) {
    json["conditions"].push_back(ConditionToJson(condition, status.observed_generation));
  }
  const auto optional = [&](const char* field, bool given, auto make) {
    if (given) {
      json[field] = make();
    } else if (absent == AbsentFields::kNull) {
      json[field] = nullptr;
    }
  };
  optional("revision", !status.revision.empty(), [&] { return Json(status.revision); });
  optional("url", !status.url.empty(), [&] { return Json(status.url); });
  optional("scaling", !status.scaling_reason.empty(), [&] {
    return Json{{"desired", status.desired_replicas}, {"reason", Cut(status.scaling_reason, kMaxReason)}};
  });
  optional("lastFailure", status.last_failure.has_value(), [&] { return FailureToJson(status); });
  optional("usage", status.usage.has_value(), [&] {
    return Json{{"invocations", status.usage->invocations},
                {"wallMilliseconds", status.usage->wall_milliseconds},
                {"cpuMilliseconds", status.usage->cpu_milliseconds}};
  });
  // What a module or a kubelet says may be no UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

FunctionStatus ReadFunctionStatus(const YamlNode& node) {
  FunctionStatus status;
  status.observed_generation = IntegerOr(FindEntry(&node, "observedGeneration"));
  status.replicas = Replicas(FindEntry(&node, "replicas"));
  status.ready_replicas = Replicas(FindEntry(&node, "readyReplicas"));
  status.desired_replicas = Replicas(FindEntry(&node, "desiredReplicas"));
  status.revision = TextOr(FindEntry(&node, "revision"));
  status.url = TextOr(FindEntry(&node, "url"));
  status.scaling_reason = TextOr(FindEntry(FindEntry(&node, "scaling"), "reason"));
  if (const YamlNode* conditions = FindEntry(&node, "conditions")) {
    for (const YamlNode& condition : conditions->items) status.conditions.push_back(ReadCondition(condition));
  }
  if (const YamlNode* failure = FindEntry(&node, "lastFailure")) {
    v1::Problem& problem = status.last_failure.emplace();
    problem.set_component(TextOr(FindEntry(failure, "component")));
    problem.set_reason(TextOr(FindEntry(failure, "reason")));
    problem.set_message(TextOr(FindEntry(failure, "message")));
    status.last_failure_time =
        ParseTime(TextOr(FindEntry(failure, "time"))).value_or(status.last_failure_time);
  }
  if (const YamlNode* usage = FindEntry(&node, "usage")) {
    status.usage = Usage{.invocations = IntegerOr(FindEntry(usage, "invocations")),
                         .wall_milliseconds = IntegerOr(FindEntry(usage, "wallMilliseconds")),
                         .cpu_milliseconds = IntegerOr(FindEntry(usage, "cpuMilliseconds"))};
  }
  return status;
}

}  // namespace mayfly::op
