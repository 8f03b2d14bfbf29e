// The ControlApi is how the other commands talk to a running `mayfly up`: JSON over HTTP on a Unix socket that only its
// owner can open.
//
//   GET /v1/instance                           {"url", "pid", "version", "paths"}
//   GET /v1/functions                          {"functions": [FunctionView, …]}
//   GET /v1/functions/NS/NAME                  FunctionView
//   GET /v1/functions/NS/NAME/logs?tail=N      {"lines": [{"number", "time", "replica", "text"}, …]}
//   GET /v1/functions/NS/NAME/logs?after=N     those with a higher number
//
// Nothing waits in it: who follows a log asks again. Beside these, /metrics, /healthz and /readyz.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admin/admin_server.h"
#include "base/metrics.h"
#include "base/status.h"
#include "cli/function_view.h"
#include "operator/local/local_cluster.h"
#include "operator/operator.h"

namespace mayfly::cli {

// The function as it is now. kNotFound if there is none.
absl::StatusOr<FunctionView> ViewOf(const op::LocalCluster& cluster, const op::Operator& operator_,
                                    const std::string& key, const std::string& url);

class ControlApi {
 public:
  // The cluster, the operator and the metrics outlive it. `url` is the gateway's: "http://127.0.0.1:8080".
  static absl::StatusOr<std::unique_ptr<ControlApi>> Start(
      const std::string& socket, op::LocalCluster& cluster, const op::Operator& operator_,
      const base::Metrics& metrics, const std::string& url, const std::vector<std::string>& paths);

 private:
  explicit ControlApi(std::unique_ptr<admin::AdminServer> server) : server_(std::move(server)) {}

  std::unique_ptr<admin::AdminServer> server_;
};

}  // namespace mayfly::cli
