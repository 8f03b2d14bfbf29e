// The metrics of the HTTP front, with their labels resolved once per function.
//
// HttpMetrics is shared by all event loops and thread-safe; a FunctionMetricsCache belongs to one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "base/metrics.h"

namespace mayfly::gateway {

class HttpMetrics {
 public:
  // `metrics` must outlive this.
  explicit HttpMetrics(base::Metrics& metrics);

  base::Metrics& metrics() { return metrics_; }
  void AddConnection() { connections_gauge_.Increment(); }
  void RemoveConnection() { connections_gauge_.Decrement(); }
  // Counts a request or connection that was refused here.
  void Refused(std::string_view reason);

 private:
  base::Metrics& metrics_;
  prometheus::Gauge& connections_gauge_;
};

// The metrics of one function.
class FunctionMetrics {
 public:
  FunctionMetrics(base::Metrics& metrics, const std::string& function);

  void Answered(int status, double seconds);

 private:
  base::Metrics& metrics_;
  const std::string function_;
  // By status / 100, made at the first answer of its class.
  std::array<prometheus::Counter*, 6> by_class_{};
  prometheus::Histogram& duration_;
};

class FunctionMetricsCache {
 public:
  explicit FunctionMetricsCache(base::Metrics& metrics) : metrics_(metrics) {}

  // "" for requests that no route took.
  FunctionMetrics& Of(const std::string& function);

 private:
  base::Metrics& metrics_;
  absl::flat_hash_map<std::string, std::unique_ptr<FunctionMetrics>> cache_;
};

}  // namespace mayfly::gateway
