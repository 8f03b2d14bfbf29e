#include "base/metrics.h"

#include <prometheus/text_serializer.h>

#include <mutex>

#include "base/log_sink.h"

namespace mayfly::base {
namespace {

// The log knows no metrics: what it counts is brought over when somebody looks.
void CountDroppedLines(prometheus::Registry& registry) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  prometheus::Counter& counter =
      prometheus::BuildCounter()
          .Name("mayfly_log_lines_dropped_total")
          .Help("Lines that were not written, as standard error was not read in time.")
          .Register(registry)
          .Add({});
  counter.Increment(static_cast<double>(log::Sink().dropped()) - counter.Value());
}

}  // namespace

Metrics::Metrics()
    : registry_(std::make_shared<prometheus::Registry>(prometheus::Registry::InsertBehavior::Merge)) {}

prometheus::Counter& Metrics::Counter(const std::string& name, const std::string& help,
                                      const Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Gauge& Metrics::Gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Histogram& Metrics::Histogram(const std::string& name, const std::string& help,
                                          const Labels& labels, const std::vector<double>& upper_bounds) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_).Add(labels, upper_bounds);
}

std::vector<double> Metrics::LatencyBuckets() {
  return {50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2e-3, 3e-3, 5e-3, 10e-3, 20e-3, 30e-3,
          50e-3, 0.1,    0.25,   0.5,    1,    2.5,  5,    10,   30,    60};
}

std::string Metrics::Text() const {
  CountDroppedLines(*registry_);
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace mayfly::base
