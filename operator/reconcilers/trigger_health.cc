#include "operator/reconcilers/trigger_health.h"

#include <algorithm>
#include <set>

namespace mayfly::op {

std::vector<std::string> TriggerHealth::Observe(const v1::GatewayReport& report) {
  std::set<std::string> changed;
  const std::lock_guard lock(mutex_);
  const auto forget = [&](Triggers& triggers, const std::string& trigger) {
    const auto found = triggers.find(trigger);
    if (found == triggers.end()) return false;
    const bool had = found->second.erase(report.gateway()) > 0;
    if (found->second.empty()) triggers.erase(found);
    return had;
  };
  if (report.leaving()) {
    for (auto function = functions_.begin(); function != functions_.end();) {
      std::vector<std::string> names;
      for (const auto& [trigger, gateways] : function->second) names.push_back(trigger);
      for (const std::string& trigger : names) {
        if (forget(function->second, trigger)) changed.insert(function->first);
      }
      function = function->second.empty() ? functions_.erase(function) : std::next(function);
    }
    return {changed.begin(), changed.end()};
  }
  for (const v1::TriggerReport& trigger : report.triggers()) {
    Triggers& triggers = functions_[trigger.function()];
    if (trigger.gone()) {
      if (forget(triggers, trigger.trigger())) changed.insert(trigger.function());
    } else {
      const auto [at, is_new] = triggers[trigger.trigger()].try_emplace(report.gateway());
      if (is_new || at->second != trigger.problem()) changed.insert(trigger.function());
      at->second = trigger.problem();
    }
    if (triggers.empty()) functions_.erase(trigger.function());
  }
  return {changed.begin(), changed.end()};
}

std::vector<TriggerProblem> TriggerHealth::Problems(const std::string& function) const {
  std::vector<TriggerProblem> problems;
  const std::lock_guard lock(mutex_);
  const auto found = functions_.find(function);
  if (found == functions_.end()) return problems;
  for (const auto& [trigger, gateways] : found->second) {
    const bool works =
        std::any_of(gateways.begin(), gateways.end(), [](const auto& entry) { return entry.second.empty(); });
    if (!works && !gateways.empty()) problems.push_back({trigger, gateways.begin()->second});
  }
  return problems;
}

}  // namespace mayfly::op
