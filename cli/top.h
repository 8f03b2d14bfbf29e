// What functions do just now, from the metrics of operators and gateways: what `mayfly top` shows.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace CLI {
class App;
}

namespace mayfly::cli {

// One function's metrics as one process has them.
struct FunctionMetrics {
  // Now:
  double desired = 0;
  double ready = 0;
  double in_flight = 0;
  double held = 0;
  // Since the process started:
  double accepted = 0;
  double wait_seconds = 0;
  double cpu_seconds = 0;
  double memory_byte_seconds = 0;
};

struct TopSample {
  base::MonotonicTime at{};
  std::set<std::string> functions;  // "namespace/name": all there are, those at rest too
  // By the process that has them, and function.
  std::map<std::string, std::map<std::string, FunctionMetrics>> processes;

  // Takes in what `process` serves at /metrics.
  void Take(const std::string& process, std::string_view metrics);
};

struct TopRow {
  std::string function{};
  FunctionMetrics now{};    // over all processes
  double per_second = 0;    // requests taken
  double wait_seconds = 0;  // for a slot: the mean of those requests
  double cpus = 0;
  double memory_bytes = 0;  // that invocations had at once, on average
};

// What happened between the samples, the busiest first. A process that was not there before, or has begun anew, counts from 0.
std::vector<TopRow> TopRows(const TopSample& before, const TopSample& now);

// `space` is not shown before the names.
std::string TopTable(const std::vector<TopRow>& rows, const std::string& space);

struct TopOptions {
  double seconds = 2;  // between two looks
  int count = 0;       // tables to print; 0: until it is ended
  std::string space = "default";
};

void AddTopOptions(CLI::App& command, TopOptions& options);

// Prints what `look` sees, again and again; on a terminal each table in the place of the one before.
absl::Status ShowTop(const std::function<absl::StatusOr<TopSample>()>& look, const TopOptions& options);

}  // namespace mayfly::cli
