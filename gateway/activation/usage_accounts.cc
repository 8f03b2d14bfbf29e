#include "gateway/activation/usage_accounts.h"

#include <cmath>

namespace mayfly::gateway {

std::uint32_t UsageAccounts::Of(base::Metrics& metrics, const std::string& function,
                                const std::string& trigger) {
  for (std::uint32_t i = 0; i < accounts_.size(); ++i) {
    if (accounts_[i].usage.trigger() == trigger) return i;
  }
  if (accounts_.size() >= kMost && !trigger.empty()) return Of(metrics, function, "");
  const base::Metrics::Labels labels = {{"function", function}, {"trigger", trigger}};
  accounts_.push_back(
      {.usage = {},
       .charged = {},
       .invocations = metrics.Counter("mayfly_usage_invocations_total",
                                      "Invocations that replicas ran, by function and trigger.", labels),
       .wall = metrics.Counter("mayfly_usage_wall_seconds_total",
                               "What is billed: the time that invocations took in their workers.", labels),
       .cpu = metrics.Counter("mayfly_usage_cpu_seconds_total",
                              "CPU time that invocations used in their workers.", labels),
       .memory =
           metrics.Counter("mayfly_usage_memory_byte_seconds_total",
                           "Peak resident memory of invocations' workers times their wall time.", labels)});
  accounts_.back().usage.set_trigger(trigger);
  return static_cast<std::uint32_t>(accounts_.size() - 1);
}

void UsageAccounts::Charge(std::uint32_t account, const v1::Result& result) {
  if (result.outcome() == v1::OUTCOME_NOT_STARTED) return;
  constexpr double kPerSecond = 1e6;
  constexpr double kMemoryUnit = 1e6;  // in byte microseconds: 1 kB for 1 ms
  Account& to = accounts_[account];
  const v1::Metering& cost = result.metering();
  const double byte_us = static_cast<double>(cost.peak_rss_bytes()) * static_cast<double>(cost.wall_us());
  const UsageSums sums{.invocations = 1,
                       .wall_us = cost.wall_us(),
                       .cpu_us = cost.cpu_us(),
                       .memory_kb_ms = static_cast<std::uint64_t>(std::llround(byte_us / kMemoryUnit))};
  to.charged += sums;
  to.usage.set_invocations(to.usage.invocations() + 1);
  to.usage.set_wall_us(to.usage.wall_us() + cost.wall_us());
  to.usage.set_cpu_us(to.usage.cpu_us() + cost.cpu_us());
  to.usage.set_memory_kb_ms(to.usage.memory_kb_ms() + sums.memory_kb_ms);
  to.invocations.Increment();
  to.wall.Increment(static_cast<double>(cost.wall_us()) / kPerSecond);
  to.cpu.Increment(static_cast<double>(cost.cpu_us()) / kPerSecond);
  to.memory.Increment(byte_us / kPerSecond);
}

void UsageAccounts::FillIn(v1::Demand& demand) const {
  for (const Account& account : accounts_) {
    if (account.usage.invocations() > 0) *demand.add_usage() = account.usage;
  }
}

std::vector<std::pair<std::string, UsageSums>> UsageAccounts::TakeCharges() {
  std::vector<std::pair<std::string, UsageSums>> charges;
  for (Account& account : accounts_) {
    if (account.charged.invocations == 0) continue;
    charges.emplace_back(account.usage.trigger(), std::exchange(account.charged, {}));
  }
  return charges;
}

}  // namespace mayfly::gateway
