#include "operator/api/function_status.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/api/conditions.h"
#include "operator/api/object_meta.h"

namespace mayfly::op {
namespace {

using Json = nlohmann::json;

Json FailureToJson(const FunctionStatus& status) {
  Json failure = {{"component", status.last_failure->component()},
                  {"reason", status.last_failure->reason()},
                  {"message", CutText(status.last_failure->message(), kMaxMessage)}};
  failure["time"] = FormatTime(status.last_failure_time);
  return failure;
}

Json UsageToJson(const Usage& usage) {
  Json json = {{"invocations", usage.invocations},
               {"wallMilliseconds", usage.wall_milliseconds},
               {"cpuMilliseconds", usage.cpu_milliseconds},
               {"memoryMegabyteSeconds", usage.memory_megabyte_seconds}};
  for (const UsageMark& mark : usage.counted) {
    json["counted"].push_back({{"gateway", mark.gateway},
                               {"instance", mark.instance},
                               {"life", mark.life},
                               {"invocations", mark.invocations},
                               {"wallMicroseconds", mark.wall_microseconds},
                               {"cpuMicroseconds", mark.cpu_microseconds},
                               {"memoryKilobyteMilliseconds", mark.memory_kilobyte_milliseconds}});
  }
  return json;
}

std::vector<UsageMark> ReadMarks(const YamlNode* node) {
  std::vector<UsageMark> marks;
  if (node == nullptr || node->kind != YamlNode::Kind::kSequence) return marks;
  for (const YamlNode& item : node->items) {
    marks.push_back(
        {.gateway = TextOr(FindEntry(&item, "gateway")),
         .instance = TextOr(FindEntry(&item, "instance")),
         .life = IntegerOr(FindEntry(&item, "life")),
         .invocations = IntegerOr(FindEntry(&item, "invocations")),
         .wall_microseconds = IntegerOr(FindEntry(&item, "wallMicroseconds")),
         .cpu_microseconds = IntegerOr(FindEntry(&item, "cpuMicroseconds")),
         .memory_kilobyte_milliseconds = IntegerOr(FindEntry(&item, "memoryKilobyteMilliseconds"))});
  }
  return marks;
}

std::int32_t Replicas(const YamlNode* node) {
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(IntegerOr(node), 0, INT32_MAX));
}

}  // namespace

std::string FunctionStatusToJson(const FunctionStatus& status, std::string_view name, AbsentFields absent) {
  Json json = {{"observedGeneration", status.observed_generation},
               {"replicas", status.replicas},
               {"readyReplicas", status.ready_replicas},
               {"desiredReplicas", status.desired_replicas},
               {"selector", std::string(kFunctionLabel) + "=" + std::string(name)},
               {"conditions", ConditionsToJson(status.conditions, status.observed_generation)}};
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
    return Json{{"desired", status.desired_replicas}, {"reason", CutText(status.scaling_reason, kMaxReason)}};
  });
  optional("lastFailure", status.last_failure.has_value(), [&] { return FailureToJson(status); });
  optional("usage", status.usage.has_value(), [&] { return UsageToJson(*status.usage); });
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
  status.conditions = ReadConditions(FindEntry(&node, "conditions"));
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
                         .cpu_milliseconds = IntegerOr(FindEntry(usage, "cpuMilliseconds")),
                         .memory_megabyte_seconds = IntegerOr(FindEntry(usage, "memoryMegabyteSeconds")),
                         .counted = ReadMarks(FindEntry(usage, "counted"))};
  }
  return status;
}

}  // namespace mayfly::op
