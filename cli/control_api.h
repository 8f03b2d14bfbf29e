// The ControlApi is how the other commands talk to a running `mayfly up`: JSON over HTTP on a Unix socket that only its
// owner can open.
//
//   GET /v1/instance                           {"url", "pid", "version", "paths"}
//   GET /v1/functions                          {"functions": [FunctionView, …]}
//   GET /v1/functions/NS/NAME                  FunctionView
//   GET /v1/functions/NS/NAME/logs?tail=N      {"lines": [{"number", "time", "replica", "text"}, …], "last": number}; "last"
//                                              is the newest line's, listed or not: what comes has a higher one
//   GET /v1/functions/NS/NAME/logs?after=N     those with a higher number
//   GET /v1/usage                              {"folder"}: where the usage records are, all that was charged until now among them
//   GET /v1/functions/NS/NAME/triggers/T/sample  {"method", "path", "headers": [[name, value], …], "body"}: to be sent to the url
//
// Pages about events are in events_api.h and replay_api.h.
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

namespace mayfly::gateway {
class EventStore;
class Gateway;
}  // namespace mayfly::gateway

namespace mayfly::cli {

// The function as it is now. kNotFound if there is none.
absl::StatusOr<FunctionView> ViewOf(const op::LocalCluster& cluster, const op::Operator& operator_,
                                    const std::string& key, const std::string& url);

class ControlApi {
 public:
  // What it refers to must outlive it. `url` is the gateway's: "http://127.0.0.1:8080".
  static absl::StatusOr<std::unique_ptr<ControlApi>> Start(
      const std::string& socket, op::LocalCluster& cluster, const op::Operator& operator_,
      gateway::Gateway& gateway, gateway::EventStore& store, const base::Metrics& metrics,
      const std::string& url, const std::vector<std::string>& paths, const std::string& usage_folder);

 private:
  explicit ControlApi(std::unique_ptr<admin::AdminServer> server) : server_(std::move(server)) {}

  std::unique_ptr<admin::AdminServer> server_;
};

}  // namespace mayfly::cli
