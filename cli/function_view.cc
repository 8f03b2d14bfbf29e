#include "cli/function_view.h"

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "operator/api/webhook_trigger.h"
#include "operator/reconcilers/status_builder.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;

// Bytes that are no UTF-8 are replaced rather than refused.
std::string Text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string Rfc3339(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::string Duration(std::chrono::milliseconds duration) {
  constexpr int kSecond = 1000;
  if (duration.count() % kSecond == 0) return absl::StrCat(duration.count() / kSecond, "s");
  return absl::StrCat(duration.count(), "ms");
}

const char* Name(op::ConditionStatus status) {
  switch (status) {
    case op::ConditionStatus::kTrue:
      return "True";
    case op::ConditionStatus::kFalse:
      return "False";
    case op::ConditionStatus::kUnknown:
      return "Unknown";
  }
  return "Unknown";
}

const char* Name(op::ReplicaPhase phase) {
  switch (phase) {
    case op::ReplicaPhase::kStarting:
      return "Starting";
    case op::ReplicaPhase::kRunning:
      return "Running";
    case op::ReplicaPhase::kEnding:
      return "Ending";
    case op::ReplicaPhase::kFailed:
      return "Failed";
  }
  return "Unknown";
}

Json ToJson(const v1::Problem& problem) {
  return {{"component", problem.component()}, {"reason", problem.reason()}, {"message", problem.message()}};
}

Json Spec(const op::FunctionSpec& spec, const op::FunctionObject& object) {
  Json json;
  Json artifact = {{"path", spec.artifact.path}};
  if (!object.artifact_sha256.empty()) artifact["sha256"] = object.artifact_sha256;
  json["artifact"] = std::move(artifact);
  if (!spec.handler.empty()) json["handler"] = spec.handler;
  const Json config = Json::parse(spec.config_json, nullptr, false);
  if (!config.is_discarded() && !config.empty()) json["config"] = config;
  json["concurrency"] = spec.concurrency;
  json["timeout"] = Duration(spec.timeout);
  if (!spec.resources.requests.empty()) json["resources"]["requests"] = spec.resources.requests;
  if (!spec.resources.limits.empty()) json["resources"]["limits"] = spec.resources.limits;
  json["scaling"] = {{"minReplicas", spec.scaling.min_replicas},
                     {"maxReplicas", spec.scaling.max_replicas},
                     {"targetUtilization", spec.scaling.target_utilization},
                     {"scaleToZeroAfter", Duration(spec.scaling.scale_to_zero_after)}};
  for (const op::ScalingSchedule& schedule : spec.scaling.schedules) {
    Json one = {{"name", schedule.name},
                {"from", schedule.from},
                {"to", schedule.to.empty() ? Duration(schedule.length) : schedule.to},
                {"minReplicas", schedule.min_replicas}};
    if (!schedule.time_zone.empty()) one["timeZone"] = schedule.time_zone;
    json["scaling"]["schedules"].push_back(std::move(one));
  }
  for (const auto& [name, of] : {std::pair("onSuccess", &spec.destinations.on_success),
                                 std::pair("onFailure", &spec.destinations.on_failure)}) {
    if (!of->function.empty()) json["destinations"][name]["function"] = of->function;
    if (!of->url.empty()) json["destinations"][name]["url"] = of->url;
  }
  json["triggers"] = Json::array();
  for (const op::Trigger& trigger : spec.triggers) {
    Json one = {{"name", trigger.name}};
    if (trigger.http) {
      Json http = {{"path", trigger.http->path}};
      if (!trigger.http->host.empty()) http["host"] = trigger.http->host;
      if (!trigger.http->methods.empty()) http["methods"] = trigger.http->methods;
      one[trigger.event ? "webhook" : "http"] = std::move(http);
    }
    if (trigger.event && trigger.event->message.has_webhook())
      one["webhook"]["type"] = op::WebhookType(trigger.event->message.webhook());
    if (trigger.event && trigger.event->message.has_cron()) {
      const v1::CronTrigger& cron = trigger.event->message.cron();
      one["cron"] = {{"schedule", cron.schedule()}};
      if (!cron.time_zone().empty()) one["cron"]["timeZone"] = cron.time_zone();
    }
    json["triggers"].push_back(std::move(one));
  }
  return json;
}

Json Status(const FunctionView& view) {
  Json json;
  if (view.status) {
    const op::FunctionStatus& status = *view.status;
    json["observedGeneration"] = status.observed_generation;
    json["conditions"] = Json::array();
    for (const op::Condition& condition : status.conditions) {
      json["conditions"].push_back({{"type", condition.type},
                                    {"status", Name(condition.status)},
                                    {"reason", condition.reason},
                                    {"message", condition.message},
                                    {"lastTransitionTime", Rfc3339(condition.last_transition)}});
    }
    json["replicas"] = status.replicas;
    json["readyReplicas"] = status.ready_replicas;
    json["revision"] = status.revision;
    json["scaling"] = {{"desired", status.desired_replicas}, {"reason", status.scaling_reason}};
    if (status.usage) {
      json["usage"] = {{"invocations", status.usage->invocations},
                       {"wallMilliseconds", status.usage->wall_milliseconds},
                       {"cpuMilliseconds", status.usage->cpu_milliseconds},
                       {"memoryMegabyteSeconds", status.usage->memory_megabyte_seconds}};
    }
    if (status.last_failure) {
      json["lastFailure"] = {{"time", Rfc3339(status.last_failure_time)},
                             {"reason", status.last_failure->reason()},
                             {"message", status.last_failure->message()}};
    }
  }
  json["url"] = view.url;
  if (view.object.problem) json["problem"] = ToJson(*view.object.problem);
  if (view.object.artifact_problem) json["artifactProblem"] = ToJson(*view.object.artifact_problem);
  return json;
}

}  // namespace

std::string ToJson(const FunctionView& view) {
  const std::size_t slash = view.key.find('/');
  Json json;
  json["apiVersion"] = "mayfly.dev/v1alpha1";
  json["kind"] = "Function";
  json["metadata"] = {{"name", view.key.substr(slash + 1)}, {"namespace", view.key.substr(0, slash)}};
  if (view.object.function) {
    json["metadata"]["generation"] = view.object.function->generation;
    if (!view.object.function->labels.empty()) json["metadata"]["labels"] = view.object.function->labels;
    json["spec"] = Spec(view.object.function->spec, view.object);
  }
  json["status"] = Status(view);
  json["replicas"] = Json::array();
  const auto now = std::chrono::steady_clock::now();
  for (const op::Replica& replica : view.replicas) {
    Json one = {
        {"name", replica.name},
        {"phase", Name(replica.phase)},
        {"address", replica.address},
        {"ageSeconds", std::chrono::duration_cast<std::chrono::seconds>(now - replica.created).count()}};
    if (!replica.message.empty()) one["message"] = replica.message;
    json["replicas"].push_back(std::move(one));
  }
  json["decisions"] = Json::array();
  for (const op::TimedDecision& timed : view.decisions) {
    const op::DecisionInputs& inputs = timed.decision.inputs;
    json["decisions"].push_back({{"time", Rfc3339(timed.time)},
                                 {"desired", timed.decision.desired},
                                 {"reason", timed.decision.reason},
                                 {"message", timed.decision.message},
                                 {"inputs",
                                  {{"demand", inputs.demand},
                                   {"known", inputs.known},
                                   {"stableAverage", inputs.stable_average},
                                   {"burstAverage", inputs.burst_average},
                                   {"targetPerReplica", inputs.target_per_replica},
                                   {"current", inputs.current}}}});
    Json& told = json["decisions"].back()["inputs"];
    if (!inputs.schedule.empty()) {
      told["schedule"] = inputs.schedule;
      told["scheduledReplicas"] = inputs.scheduled;
    }
    if (inputs.trigger.empty()) continue;
    told["trigger"] = inputs.trigger;
    told["backlog"] = inputs.backlog;
    told["backlogPerReplica"] = inputs.backlog_per_replica;
  }
  json["events"] = Json::array();
  for (const op::TimedEvent& timed : view.events) {
    json["events"].push_back({{"time", Rfc3339(timed.time)},
                              {"type", timed.event.warning ? "Warning" : "Normal"},
                              {"reason", timed.event.reason},
                              {"message", timed.event.message}});
  }
  json["manifests"] = view.manifests;
  return Text(json);
}

bool Serves(const FunctionView& view) {
  if (!view.object.function || view.object.artifact_sha256.empty()) return false;
  if (!view.status) return true;
  return std::none_of(view.status->conditions.begin(), view.status->conditions.end(),
                      [](const auto& condition) {
                        return condition.type == "Ready" && condition.status == op::ConditionStatus::kFalse;
                      });
}

bool HasNoRoute(const FunctionView& view) {
  if (!view.status) return false;
  return std::any_of(view.status->conditions.begin(), view.status->conditions.end(),
                     [](const auto& condition) {
                       return condition.type == "Ready" && condition.status == op::ConditionStatus::kFalse &&
                              condition.reason == "RouteConflict";
                     });
}

std::string WhatIsWrong(const FunctionView& view) {
  if (view.object.problem) return view.object.problem->message();
  if (view.object.artifact_problem) return view.object.artifact_problem->message();
  if (view.status) {
    for (const op::Condition& condition : view.status->conditions) {
      if ((condition.type == "Ready" || condition.type == "ArtifactReady" ||
           condition.type == op::kTriggersReady) &&
          condition.status == op::ConditionStatus::kFalse) {
        return condition.message;
      }
    }
  }
  return "";
}

}  // namespace mayfly::cli
