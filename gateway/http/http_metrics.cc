#include "gateway/http/http_metrics.h"

#include <algorithm>
#include <memory>

namespace mayfly::gateway {

HttpMetrics::HttpMetrics(base::Metrics& metrics)
    : metrics_(metrics),
      connections_gauge_(metrics.Gauge("mayfly_http_connections", "Open HTTP connections.")) {}

void HttpMetrics::Refused(std::string_view reason) {
  metrics_
      .Counter("mayfly_http_refused_total",
               "Requests and connections that the HTTP front refused, by reason.",
               {{"reason", std::string(reason)}})
      .Increment();
}

FunctionMetrics::FunctionMetrics(base::Metrics& metrics, const std::string& function)
    : metrics_(metrics),
      function_(function),
      duration_(metrics.Histogram("mayfly_http_request_duration_seconds",
                                  "From a request's head to the end of its answer, by function.",
                                  {{"function", function}}, base::Metrics::LatencyBuckets())) {}

void FunctionMetrics::Answered(int status, double seconds) {
  const std::size_t index = static_cast<std::size_t>(std::clamp(status / 100, 0, 5));
  if (by_class_[index] == nullptr) {
    by_class_[index] = &metrics_.Counter("mayfly_http_requests_total",
                                         "Answered HTTP requests, by function and class of status.",
                                         {{"function", function_}, {"code", std::to_string(index) + "xx"}});
  }
  by_class_[index]->Increment();
  duration_.Observe(seconds);
}

FunctionMetrics& FunctionMetricsCache::Of(const std::string& function) {
  std::unique_ptr<FunctionMetrics>& metrics = cache_[function];
  if (!metrics) metrics = std::make_unique<FunctionMetrics>(metrics_, function);
  return *metrics;
}

}  // namespace mayfly::gateway
