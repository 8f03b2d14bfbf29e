#include "cli/local_stack.h"

#include <unistd.h>

#include <climits>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "gateway/gateway.h"
#include "operator/control/grpc_replica_client.h"
#include "operator/operator.h"

namespace mayfly::cli {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

// Requests that run when the end comes get this long; the rest of the two seconds is for replicas.
constexpr milliseconds kRequestGrace{800};

// The path of `program`, which lies beside this one.
std::string Sibling(const std::string& program) {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) return program;
  const std::string self(path, static_cast<std::size_t>(size));
  return self.substr(0, self.rfind('/') + 1) + program;
}

}  // namespace

LocalStack::LocalStack() = default;

absl::StatusOr<std::unique_ptr<LocalStack>> LocalStack::Start(LocalStackOptions options) {
  std::unique_ptr<LocalStack> stack(new LocalStack);
  if (absl::Status status = stack->Assemble(std::move(options)); !status.ok()) return status;
  return stack;
}

absl::Status LocalStack::Assemble(LocalStackOptions options) {
  gateway::GatewayOptions gateway_options;
  gateway_options.name = "local";
  gateway_options.http.address = absl::StrCat(options.host, ":", options.port);
  gateway_options.router.by_name = true;
  gateway_options.router.by_name_from_anywhere = options.by_name_from_anywhere;
  gateway_ = std::make_unique<gateway::Gateway>(std::move(gateway_options), metrics_);
  gateway_->OnReport([this](const v1::GatewayReport& report) { link_.Report(report); });
  const absl::StatusOr<std::string> address = gateway_->Start();
  if (!address.ok()) return address.status();
  url_ = absl::StrCat("http://", *address);
  const std::string port = address->substr(address->rfind(':') + 1);

  absl::StatusOr<op::RunDir> run_dir = op::RunDir::Create(op::RunDir::DefaultBase(), port);
  if (!run_dir.ok()) return run_dir.status();
  run_dir_.emplace(*std::move(run_dir));

  op::LocalClusterOptions local;
  local.paths = options.paths;
  local.run_dir = run_dir_->path();
  local.runtime_program = Sibling("mayfly-runtime");
  local.runtime_arguments = {"--log-format", options.log_format};
  local.on_line = [on_line = options.on_line](const std::string& function, const std::string&,
                                              std::string_view line) {
    if (on_line) on_line(function, line);
  };
  absl::StatusOr<std::unique_ptr<op::LocalCluster>> cluster = op::LocalCluster::Start(std::move(local));
  if (!cluster.ok()) return cluster.status();
  cluster_ = *std::move(cluster);

  replica_client_ = std::make_unique<op::GrpcReplicaClient>(nullptr);
  op::OperatorOptions operator_options;
  operator_options.reconciler.base_url = url_;
  operator_ = std::make_unique<op::Operator>(*cluster_, link_, *replica_client_, clock_, metrics_,
                                             std::move(operator_options));
  link_.Connect([this](const v1::RouteUpdate& update) {
    if (const absl::Status status = gateway_->Apply(update); !status.ok()) {
      base::log::Error("the gateway refused routes", {{"why", std::string(status.message())}});
    }
  });
  if (absl::Status status = operator_->Start(); !status.ok()) return status;

  absl::StatusOr<std::unique_ptr<ControlApi>> api =
      ControlApi::Start(run_dir_->path() + "/api.sock", *cluster_, *operator_, metrics_, url_, options.paths);
  if (!api.ok()) return api.status();
  api_ = *std::move(api);
  if (!options.admin.empty()) {
    admin_ = std::make_unique<admin::AdminServer>(metrics_, [] { return std::string(); });
    if (absl::StatusOr<std::string> bound = admin_->Start(options.admin); !bound.ok()) return bound.status();
  }
  return absl::OkStatus();
}

LocalStack::~LocalStack() { Stop(); }

void LocalStack::WaitForRoutes(SteadyClock::time_point deadline) const {
  for (const std::string& key : cluster_->Functions()) {
    for (;;) {
      const absl::StatusOr<op::FunctionObject> object = cluster_->GetFunction(key);
      if (!object.ok() || !object->function || link_.Has(key) || SteadyClock::now() >= deadline) break;
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
}

void LocalStack::Stop() {
  if (!gateway_) return;
  admin_.reset();
  api_.reset();
  const auto deadline = SteadyClock::now() + kRequestGrace;
  gateway_->Stop(deadline);
  link_.Disconnect();
  // Load and Drain may wait for a replica, which may wait for a handler.
  if (replica_client_) replica_client_->Cancel();
  if (operator_) operator_->Stop();
  operator_.reset();
  gateway_.reset();
  // Before the replicas end: a runtime that is told to end waits for its connections, and this is one.
  replica_client_.reset();
  cluster_.reset();
  run_dir_.reset();
}

std::vector<FunctionView> LocalStack::Functions() const {
  std::vector<FunctionView> views;
  for (const std::string& key : cluster_->Functions()) {
    absl::StatusOr<FunctionView> view = ViewOf(*cluster_, *operator_, key, url_);
    if (view.ok()) views.push_back(*std::move(view));
  }
  return views;
}

}  // namespace mayfly::cli
