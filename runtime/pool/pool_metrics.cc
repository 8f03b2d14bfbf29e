#include "runtime/pool/pool_metrics.h"

#include <algorithm>
#include <vector>

namespace mayfly::runtime {
namespace {

// "OUTCOME_TIMED_OUT" is "timed_out" in a label.
std::string Label(v1::Outcome outcome) {
  std::string name = v1::Outcome_Name(outcome).substr(sizeof("OUTCOME_") - 1);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  return name;
}

// 1 MiB to 4 GiB.
std::vector<double> MemoryBuckets() {
  std::vector<double> bounds;
  for (double bytes = 1 << 20; bytes <= 4.0 * (1 << 30); bytes *= 2) bounds.push_back(bytes);
  return bounds;
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
      memory_(&metrics.Histogram("mayfly_invocation_peak_memory_bytes",
                                 "The most memory that a worker has had by the end of an invocation.",
                                 {{"function", function}}, MemoryBuckets())),
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
                             std::chrono::microseconds cpu, std::uint64_t peak_bytes) {
  invocations_[static_cast<std::size_t>(outcome)]->Increment();
  if (outcome == v1::OUTCOME_NOT_STARTED) return;
  duration_->Observe(std::chrono::duration<double>(wall).count());
  cpu_->Increment(std::chrono::duration<double>(cpu).count());
  if (peak_bytes > 0) memory_->Observe(static_cast<double>(peak_bytes));
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
