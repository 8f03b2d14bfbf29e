// The metrics of a process, as Prometheus sees them.
//
// A thin layer over prometheus-cpp that keeps one registry and makes the common case short. Names begin with
// `mayfly_`, carry their base unit (seconds, bytes, ratio) and counters end in `_total`. Labels are bounded:
// function, trigger, outcome, phase; never an id or a path. Resolve a labelled metric once and keep the
// reference: it lives as long as the Metrics and its updates are one atomic operation.
//
// Thread-safe.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mayfly::base {

class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;

  Metrics();

  // Each returns the metric with that name and those labels, made at the first call.
  prometheus::Counter& Counter(const std::string& name, const std::string& help, const Labels& labels = {});
  prometheus::Gauge& Gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  prometheus::Histogram& Histogram(const std::string& name, const std::string& help, const Labels& labels,
                                   const std::vector<double>& upper_bounds);

  // From 50 µs to 60 s, dense where Mayfly lives (milliseconds).
  static std::vector<double> LatencyBuckets();

  // Everything, in Prometheus' text format 0.0.4.
  std::string Text() const;

  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }

 private:
  std::shared_ptr<prometheus::Registry> registry_;
};

}  // namespace mayfly::base
