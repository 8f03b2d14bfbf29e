// What a function's status says, made from what the reconciler knows. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/controller/cluster.h"
#include "operator/reconcilers/route_table.h"
#include "operator/reconcilers/trigger_health.h"

namespace mayfly::op {

inline constexpr std::string_view kTriggersReady = "TriggersReady";

struct StatusInputs {
  const FunctionObject& object;
  std::string wanted;          // the revision that the manifest and the artifact give; "" if there is none
  bool wanted_loaded = false;  // some replica took it
  bool older_serves = false;   // one before it serves, or would
  std::string older{};         // its name, if it is known
  std::optional<v1::Problem> refused{};      // why it was refused
  std::optional<v1::Problem> unavailable{};  // why requests cannot be served at all
  const std::vector<RouteConflict>& conflicts;
  std::vector<TriggerProblem> trigger_problems{};  // of those that bring events
  std::vector<std::string> triggers_unheard{};     // … and those of which no gateway has said anything yet
  bool routed = false;                             // has at least one route
  bool all_gateways_know = false;                  // its routes are in force at every gateway
  std::vector<std::string> gateways_lacking{};  // which of them do not know yet; empty: there is none at all
  std::string url{};
  std::int32_t replicas = 0;
  std::int32_t ready_replicas = 0;
  std::int32_t desired = 0;
  std::string scaling_reason{};
  std::optional<v1::Problem> last_failure{};
  std::chrono::system_clock::time_point last_failure_time{};
};

// Conditions that did not change keep the time of `before`.
FunctionStatus BuildStatus(const StatusInputs& inputs, const std::optional<FunctionStatus>& before,
                           std::chrono::system_clock::time_point now);

// Whether they say the same, but for the usage: that is written when the Meter says so.
bool SameStatus(const FunctionStatus& a, const FunctionStatus& b);

// A sentence that names every route that another function has.
std::string ConflictMessage(const std::vector<RouteConflict>& conflicts);

}  // namespace mayfly::op
