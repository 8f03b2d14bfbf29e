#include "operator/reconcilers/status_builder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

#include "base/utf8.h"

namespace mayfly::op {
namespace {

constexpr std::size_t kMostMessage = 2048;

Condition Make(std::string_view type, ConditionStatus status, std::string reason, std::string message) {
  return {.type = std::string(type),
          .status = status,
          .reason = std::move(reason),
          .message = std::move(message),
          .last_transition = {}};
}

Condition ArtifactReady(const StatusInputs& in) {
  const char* type = "ArtifactReady";
  if (in.object.artifact_problem) {
    return Make(type, ConditionStatus::kFalse, in.object.artifact_problem->reason(),
                in.object.artifact_problem->message());
  }
  if (in.wanted.empty()) {
    return Make(type, ConditionStatus::kUnknown, "NotRead", "the artifact has not been read yet");
  }
  if (in.refused) {
    std::string message = in.refused->message();
    if (in.ready_replicas > 0) message += " (the revision before it goes on serving)";
    return Make(type, ConditionStatus::kFalse, in.refused->reason(), std::move(message));
  }
  if (in.wanted_loaded) {
    return Make(type, ConditionStatus::kTrue, "Loaded", fmt::format("revision {} was loaded", in.wanted));
  }
  return Make(type, ConditionStatus::kTrue, "Found",
              fmt::format("the module of revision {} was found; it is checked when a replica first loads it",
                          in.wanted));
}

// `lacking`: as StatusInputs::gateways_lacking.
Condition Unrouted(std::string_view type, const std::vector<std::string>& lacking) {
  if (lacking.empty()) {
    return Make(type, ConditionStatus::kUnknown, "NoGateway",
                "no gateway is connected to the operator, so no request and no event reaches the function");
  }
  return Make(type, ConditionStatus::kUnknown, "Routing",
              fmt::format("gateway {} does not answer the operator and may not know the newest routes",
                          fmt::join(lacking, ", ")));
}

Condition TriggersReady(const StatusInputs& in) {
  constexpr std::string_view type = kTriggersReady;
  if (in.object.function == nullptr) {
    return Make(type, ConditionStatus::kUnknown, "ManifestInvalid", "the manifest does not say which");
  }
  if (!in.conflicts.empty()) {
    return Make(type, ConditionStatus::kFalse, "RouteConflict", ConflictMessage(in.conflicts));
  }
  if (!in.trigger_problems.empty()) {
    std::string message;
    for (const TriggerProblem& problem : in.trigger_problems) {
      if (!message.empty()) message += "; ";
      message += fmt::format("trigger {}: {}", problem.trigger, problem.message);
    }
    return Make(type, ConditionStatus::kFalse, "SourceNotReady",
                std::string(base::CutUtf8(message, kMostMessage)));
  }
  if (!in.all_gateways_know) return Unrouted(type, in.gateways_lacking);
  if (!in.triggers_unheard.empty()) {
    return Make(
        type, ConditionStatus::kUnknown, "SourceStarting",
        fmt::format("no gateway has said yet whether trigger {} gets events", in.triggers_unheard.front()));
  }
  return Make(type, ConditionStatus::kTrue, "Routed", "every trigger is routed");
}

Condition Active(const StatusInputs& in) {
  const char* type = "Active";
  if (in.ready_replicas > 0) {
    return Make(type, ConditionStatus::kTrue, "Serving",
                fmt::format("{} of {} replicas serve", in.ready_replicas, std::max(in.replicas, in.desired)));
  }
  if (in.desired > 0 && !in.unavailable) {
    return Make(type, ConditionStatus::kUnknown, "Starting", fmt::format("{} replicas start", in.desired));
  }
  if (in.desired > 0)
    return Make(type, ConditionStatus::kFalse, in.unavailable->reason(), in.unavailable->message());
  return Make(type, ConditionStatus::kFalse, "ScaledToZero", "no replica runs; the next request starts one");
}

Condition Ready(const StatusInputs& in) {
  const char* type = "Ready";
  if (in.object.function == nullptr) {
    if (in.object.problem) {
      return Make(type, ConditionStatus::kFalse, in.object.problem->reason(), in.object.problem->message());
    }
    return Make(type, ConditionStatus::kUnknown, "NotRead", "the manifest has not been read yet");
  }
  if (in.unavailable) {
    return Make(type, ConditionStatus::kFalse, in.unavailable->reason(), in.unavailable->message());
  }
  if (!in.routed && !in.conflicts.empty()) {
    return Make(type, ConditionStatus::kFalse, "RouteConflict", ConflictMessage(in.conflicts));
  }
  if (!in.all_gateways_know && in.gateways_lacking.empty()) return Unrouted(type, {});
  if (in.object.problem) {
    return Make(type, ConditionStatus::kTrue, "OldManifestServes",
                fmt::format("the newest manifest is wrong and the one before it serves: {}",
                            in.object.problem->message()));
  }
  if (in.refused && in.older_serves) {
    return Make(type, ConditionStatus::kTrue, "OldRevisionServes",
                fmt::format("the newest revision, {}, is refused and the one before it serves: {}", in.wanted,
                            in.refused->message()));
  }
  if (in.refused) {
    return Make(type, ConditionStatus::kFalse, in.refused->reason(),
                in.refused->message() + " (the next request makes it be tried again)");
  }
  if (in.ready_replicas > 0) return Make(type, ConditionStatus::kTrue, "Serving", "requests are served");
  return Make(type, ConditionStatus::kTrue, "CanServe",
              "no replica runs; requests are held while one starts");
}

bool SameProblem(const std::optional<v1::Problem>& a, const std::optional<v1::Problem>& b) {
  if (a.has_value() != b.has_value()) return false;
  return !a ||
         (a->component() == b->component() && a->reason() == b->reason() && a->message() == b->message());
}

}  // namespace

std::string ConflictMessage(const std::vector<RouteConflict>& conflicts) {
  std::string message;
  for (const RouteConflict& conflict : conflicts) {
    if (!message.empty()) message += "; ";
    message += fmt::format("route {} of trigger {} belongs to function {} already", conflict.path,
                           conflict.trigger, conflict.owner);
  }
  return message + ": choose another path, host or method";
}

FunctionStatus BuildStatus(const StatusInputs& inputs, const std::optional<FunctionStatus>& before,
                           std::chrono::system_clock::time_point now) {
  FunctionStatus status;
  status.observed_generation = inputs.object.function ? inputs.object.function->generation : 0;
  status.conditions = {Ready(inputs), ArtifactReady(inputs), TriggersReady(inputs), Active(inputs)};
  for (Condition& condition : status.conditions) {
    condition.last_transition = now;
    if (!before) continue;
    for (const Condition& old : before->conditions) {
      if (old.type == condition.type && old.status == condition.status)
        condition.last_transition = old.last_transition;
    }
  }
  status.replicas = inputs.replicas;
  status.ready_replicas = inputs.ready_replicas;
  status.desired_replicas = inputs.desired;
  status.scaling_reason = inputs.scaling_reason;
  status.revision = inputs.refused && !inputs.older.empty() ? inputs.older : inputs.wanted;
  status.url = inputs.url;
  status.last_failure = inputs.last_failure;
  status.last_failure_time = inputs.last_failure_time;
  return status;
}

bool SameStatus(const FunctionStatus& a, const FunctionStatus& b) {
  const auto fields = [](const FunctionStatus& s) {
    return std::tie(s.observed_generation, s.replicas, s.ready_replicas, s.desired_replicas, s.scaling_reason,
                    s.revision, s.url, s.last_failure_time);
  };
  const auto same_condition = [](const Condition& x, const Condition& y) {
    return std::tie(x.type, x.status, x.reason, x.message) == std::tie(y.type, y.status, y.reason, y.message);
  };
  return fields(a) == fields(b) && SameProblem(a.last_failure, b.last_failure) &&
         std::equal(a.conditions.begin(), a.conditions.end(), b.conditions.begin(), b.conditions.end(),
                    same_condition);
}

}  // namespace mayfly::op
