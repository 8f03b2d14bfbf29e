// The figures of one pool, resolved once. Thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/metrics.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::runtime {

class PoolMetrics {
 public:
  PoolMetrics(base::Metrics& metrics, const std::string& function);

  // `peak_bytes`: of the worker so far; 0 if it is not known.
  void Invocation(v1::Outcome outcome, std::chrono::microseconds wall, std::chrono::microseconds cpu,
                  std::uint64_t peak_bytes);
  void WorkerStarted() { worker_starts_->Increment(); }
  void WorkerDied(const std::string& reason);
  void Workers(std::size_t busy, std::size_t idle);

 private:
  base::Metrics& metrics_;
  const std::string function_;
  std::array<prometheus::Counter*, v1::Outcome_ARRAYSIZE> invocations_{};
  prometheus::Histogram* duration_;
  prometheus::Counter* cpu_;
  prometheus::Histogram* memory_;
  prometheus::Counter* worker_starts_;
  prometheus::Gauge* busy_;
  prometheus::Gauge* idle_;
};

}  // namespace mayfly::runtime
