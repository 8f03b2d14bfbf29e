#include "cli/metrics_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/metrics.h"

namespace mayfly::cli {
namespace {

TEST(ReadMetrics, ReadsWhatAProcessServes) {
  base::Metrics metrics;
  metrics.Counter("mayfly_x_total", "Help.", {{"function", "a/\"b\\\n"}, {"trigger", ""}}).Increment(2.5);
  metrics.Gauge("mayfly_y", "Help.").Set(-1);
  std::vector<std::string> seen;
  ReadMetrics(metrics.Text(), [&](std::string_view name, const MetricLabels& labels, double value) {
    if (name != "mayfly_x_total" && name != "mayfly_y") return;  // each process has some of its own
    std::string text(name);
    for (const auto& [key, label] : labels) text += " " + key + "=" + label;
    seen.push_back(text + " " + std::to_string(value));
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"mayfly_x_total function=a/\"b\\\n trigger= 2.500000",
                                            "mayfly_y -1.000000"}));
}

TEST(ReadMetrics, LeavesOutWhatIsNoSample) {
  int samples = 0;
  for (const char* const text : {"", "\n\n", "# HELP x y\n# TYPE x counter\n", "x", "x{", "x{a=\"b",
                                 "x{a=\"b\"", "x{a} 1", "x many\n", "x{a=\"b\"}\n"}) {
    ReadMetrics(text, [&](std::string_view, const MetricLabels&, double) { ++samples; });
  }
  EXPECT_EQ(samples, 0);
  ReadMetrics("x 1 1700000000\ny NaN\n", [&](std::string_view, const MetricLabels&, double) { ++samples; });
  EXPECT_EQ(samples, 2);
}

}  // namespace
}  // namespace mayfly::cli
