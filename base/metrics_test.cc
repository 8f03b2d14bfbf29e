#include "base/metrics.h"

#include <gtest/gtest.h>

namespace mayfly::base {
namespace {

TEST(Metrics, GivesTheSameCounterForTheSameLabels) {
  Metrics metrics;
  auto& first = metrics.Counter("mayfly_test_total", "A test.", {{"function", "a/b"}});
  auto& second = metrics.Counter("mayfly_test_total", "A test.", {{"function", "a/b"}});
  EXPECT_EQ(&first, &second);
  first.Increment();
  EXPECT_NE(metrics.Text().find("mayfly_test_total{function=\"a/b\"} 1"), std::string::npos)
      << metrics.Text();
}

TEST(Metrics, ObservesHistograms) {
  Metrics metrics;
  metrics.Histogram("mayfly_wait_seconds", "A wait.", {}, Metrics::LatencyBuckets()).Observe(0.004);
  EXPECT_NE(metrics.Text().find("mayfly_wait_seconds_bucket{le=\"0.005\"} 1"), std::string::npos)
      << metrics.Text();
}

}  // namespace
}  // namespace mayfly::base
