// Prometheus' text format 0.0.4, read back.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace mayfly::cli {

using MetricLabels = std::map<std::string, std::string>;

// Calls `each` with every sample of `text`. Lines that are none are left out.
void ReadMetrics(
    std::string_view text,
    const std::function<void(std::string_view name, const MetricLabels& labels, double value)>& each);

}  // namespace mayfly::cli
