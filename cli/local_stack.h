// A LocalStack is everything on this machine: the operator's and the gateway's own libraries in one process, over a
// cluster of local processes.
//
// This is the list of its parts. They start in the order in which they are declared; the gateway is first, as its port
// names the run folder. Stop() ends them from the front door inwards: no new requests, those that run get a moment,
// then the operator, then every replica.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "cli/control_api.h"
#include "cli/loopback_link.h"
#include "operator/local/local_cluster.h"
#include "operator/local/run_dir.h"

namespace mayfly::gateway {
class Gateway;
class SqliteEventStore;
}  // namespace mayfly::gateway
namespace mayfly::op {
class GrpcReplicaClient;
class Operator;
}  // namespace mayfly::op

namespace mayfly::cli {

struct LocalStackOptions {
  std::vector<std::string> paths;
  std::string host = "127.0.0.1";
  int port = 8080;                     // 0: any
  bool by_name_from_anywhere = false;  // /_mayfly/functions/NAMESPACE/NAME for clients on other machines too
  std::string admin;                   // address of /metrics, /healthz and /readyz over TCP; "" for none
  // Where events are kept. "": $XDG_STATE_HOME/mayfly/PORT/FOLDER-DIGEST or the same below ~/.local/state, where
  // FOLDER-DIGEST names what is served; with port 0, and without a home, the run folder, which ends with the instance.
  std::string data;
  std::string log_format = "logfmt";
  // What a replica wrote; must not block.
  std::function<void(const std::string& function, std::string_view line)> on_line;
};

class LocalStack {
 public:
  static absl::StatusOr<std::unique_ptr<LocalStack>> Start(LocalStackOptions options);
  // Stops, if Stop() was not called.
  ~LocalStack();

  // Waits until the gateway has a route for every function whose manifest is right, and it is known of every trigger whether it
  // gets events; or `deadline`. Sources that say nothing are not waited for as long.
  void WaitForRoutes(std::chrono::steady_clock::time_point deadline) const;
  // Ends everything, within two seconds.
  void Stop();

  // "http://127.0.0.1:8080".
  const std::string& url() const { return url_; }
  const std::string& run_dir() const { return run_dir_->path(); }
  std::vector<FunctionView> Functions() const;

 private:
  LocalStack();
  absl::Status Assemble(LocalStackOptions options);
  // Whether the function's status says so of a trigger that gets no events, if there is one.
  bool TriggersAreKnown(const std::string& key) const;

  base::RealClock clock_;
  base::Metrics metrics_;
  LoopbackLink link_;
  std::string url_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::optional<op::RunDir> run_dir_;
  std::unique_ptr<gateway::SqliteEventStore> store_;
  std::unique_ptr<op::LocalCluster> cluster_;
  std::unique_ptr<op::GrpcReplicaClient> replica_client_;
  std::unique_ptr<op::Operator> operator_;
  std::unique_ptr<ControlApi> api_;
  std::unique_ptr<admin::AdminServer> admin_;
};

}  // namespace mayfly::cli
