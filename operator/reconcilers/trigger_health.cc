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
      Said said{trigger.problem(), trigger.epoch()};
      if (is_new || at->second != said) changed.insert(trigger.function());
      at->second = std::move(said);
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
    std::uint64_t newest = 0;
    for (const auto& [gateway, said] : gateways) newest = std::max(newest, said.epoch);
    const Said* problem = nullptr;
    bool works = false;
    for (const auto& [gateway, said] : gateways) {
      if (said.epoch != newest) continue;
      works = works || said.problem.empty();
      if (problem == nullptr) problem = &said;
    }
    if (!works && problem != nullptr) problems.push_back({trigger, problem->problem});
  }
  return problems;
}

bool TriggerHealth::Heard(const std::string& function, const std::string& trigger) const {
  const std::lock_guard lock(mutex_);
  const auto found = functions_.find(function);
  return found != functions_.end() && found->second.contains(trigger);
}

}  // namespace mayfly::op
