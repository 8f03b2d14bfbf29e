// What `kubectl mayfly` asks a cluster of functions, and what it makes of the answers.
//
// A function is "name", of the namespace to work in, or "namespace/name".
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "cli/cluster.h"
#include "cli/top.h"
#include "cli/usage_table.h"

namespace mayfly::cli {

// The namespace of `function`; if it is "", the one to work in.
std::string SpaceOf(const Cluster& cluster, std::string_view function);

// JSON as ShowFunctions() takes it. kNotFound if there is none, or no Mayfly in the cluster.
absl::StatusOr<std::string> ReadFunction(const Cluster& cluster, const std::string& function);
// `space` "": of all namespaces.
absl::StatusOr<std::string> ListFunctions(const Cluster& cluster, const std::string& space);

// The API server's path to `function`, through a gateway, with `more` (a path and query) behind its own path.
absl::StatusOr<std::string> PathOfFunction(const Cluster& cluster, const std::string& function,
                                           const std::string& more);
// The same of what the function's status.url says; `gateway` is "namespace/service" for a URL that is not a Service's.
// kFailedPrecondition if the URL does not say enough.
absl::StatusOr<std::string> ProxyPath(std::string_view url, std::string_view gateway, std::string_view more);

// Conditions, scaling, the last failure and the newest events, as lines.
absl::StatusOr<std::string> Why(const Cluster& cluster, const std::string& function);

// The metrics of every operator and gateway, and the functions of `space`; "": of all.
absl::StatusOr<TopSample> LookAtCluster(const Cluster& cluster, const std::string& space);

// What the functions of `space` ("": of all), or `function` alone, have used since they were made, as their status says.
absl::Status AddUsageOf(const Cluster& cluster, const std::string& space, const std::string& function,
                        UsageTable& table);

struct LogsRequest {
  std::string name;
  int tail = 100;
  bool follow = false;
  bool prefix = false;
};

// Prints to standard output. Returns the exit code.
absl::StatusOr<int> ShowLogs(const Cluster& cluster, const LogsRequest& request);

}  // namespace mayfly::cli
