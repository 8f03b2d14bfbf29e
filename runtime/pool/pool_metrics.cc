#include "runtime/pool/pool_metrics.h"

#include <algorithm>

namespace mayfly::runtime {
namespace {

// "OUTCOME_TIMED_OUT" is "timed_out" in a label.
std::string Label(v1::Outcome outcome) {
  std::string name = v1::Outcome_Name(outcome).substr(sizeof("OUTCOME_") - 1);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  return name;
}

}  // namespace

PoolMetrics::PoolMetrics(base::Metrics& metrics, const std::string& function)
    : metrics_(metrics),
      function_(function),
      duration_(&metrics.Histogram("mayfly_invocation_duration_seconds",
                                   "Wall time of invocations in their worker.", {{"function", function}},
                                   base::Metrics::LatencyBuckets())),
      cpu_(&metrics.Counter("mayfly_invocation_cpu_seconds_total", "CPU time that invocations used.",
                            {{"function", function}})),
      worker_starts_(&metrics.Counter("mayfly_worker_starts_total", "Workers that were started.",
                                      {{"function", function}})),
      busy_(
          &metrics.Gauge("mayfly_workers", "Workers by state.", {{"function", function}, {"state", "busy"}})),
      idle_(&metrics.Gauge("mayfly_workers", "Workers by state.",
                           {{"function", function}, {"state", "idle"}})) {
  for (int i = v1::OUTCOME_OK; i < v1::Outcome_ARRAYSIZE; ++i) {
    const auto outcome = static_cast<v1::Outcome>(i);
    invocations_[static_cast<std::size_t>(i)] =
        &metrics.Counter("mayfly_invocations_total", "Invocations by outcome.",
                         {{"function", function}, {"outcome", Label(outcome)}});
  }
}

void PoolMetrics::Invocation(v1::Outcome outcome, std::chrono::microseconds wall,
                             std::chrono::microseconds cpu) {
  invocations_[static_cast<std::size_t>(outcome)]->Increment();
  if (outcome == v1::OUTCOME_NOT_STARTED) return;
  duration_->Observe(std::chrono::duration<double>(wall).count());
  cpu_->Increment(std::chrono::duration<double>(cpu).count());
}

void PoolMetrics::WorkerDied(const std::string& reason) {
  metrics_
      .Counter("mayfly_worker_deaths_total", "Workers that ended, by reason.",
               {{"function", function_}, {"reason", reason}})
      .Increment();
}

void PoolMetrics::Workers(std::size_t busy, std::size_t idle) {
  busy_->Set(static_cast<double>(busy));
  idle_->Set(static_cast<double>(idle));
}

}  // namespace mayfly::runtime
