#include "cli/local_stack.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/beside_this.h"
#include "base/digest.h"
#include "base/log.h"
#include "gateway/gateway.h"
#include "gateway/metering/usage_folder.h"
#include "gateway/sources/all/all_sources.h"
#include "gateway/store/sqlite/events_folder.h"
#include "operator/control/grpc_replica_client.h"
#include "operator/operator.h"
#include "operator/reconcilers/status_builder.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

// Requests that run when the end comes get this long; the rest of the two seconds is for replicas.
constexpr milliseconds kRequestGrace{800};
// A source may take long to find its server away; most know at once whether they are ready.
constexpr milliseconds kSourcesWithin{500};

// What is served, as a name that a person knows and no other set of folders has: "examples-1f3a90c2".
std::string NameOfServed(const std::vector<std::string>& paths) {
  std::vector<std::string> absolute;
  for (const std::string& path : paths) {
    std::error_code error;
    const fs::path whole = fs::weakly_canonical(fs::absolute(path, error), error);
    absolute.push_back(error ? path : (whole.has_filename() ? whole : whole.parent_path()).string());
  }
  std::sort(absolute.begin(), absolute.end());
  absolute.erase(std::unique(absolute.begin(), absolute.end()), absolute.end());
  constexpr std::size_t kLongest = 40;
  constexpr std::size_t kDigits = 8;
  std::string name =
      absolute.empty() ? "" : fs::path(absolute.front()).filename().string().substr(0, kLongest);
  for (char& c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') c = '_';
  }
  return absl::StrCat(name, "-", base::Sha256Hex(absl::StrJoin(absolute, "\n")).substr(0, kDigits));
}

// Events are of a port and of what is served there: another project on the same port does not see them.
std::string DataFolder(const LocalStackOptions& options, const std::string& port,
                       const std::string& run_dir) {
  if (!options.data.empty()) return options.data;
  const char* const state = std::getenv("XDG_STATE_HOME");
  const char* const home = std::getenv("HOME");
  std::string base;
  if (state != nullptr && *state == '/') {
    base = state;
  } else if (home != nullptr && *home == '/') {
    base = absl::StrCat(home, "/.local/state");
  }
  // A port that the kernel has chosen is no name to find events again by.
  if (base.empty() || options.port == 0) return run_dir + "/data";
  return absl::StrCat(base, "/mayfly/", port, "/", NameOfServed(options.paths));
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
  gateway_options.http.invocations = true;
  gateway_options.router.by_name = true;
  gateway_options.router.awaits_routes = true;
  gateway_options.reach_loopback = true;
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

  const std::string data = DataFolder(options, port, run_dir_->path());
  absl::StatusOr<std::unique_ptr<gateway::SqliteEventStore>> store =
      gateway::OpenEventsFolder(data, "--data", clock_);
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  gateway_->ServeEvents(store_.get(), gateway::AllSources());
  gateway::UsageFolderOptions usage;
  usage.folder = data + "/usage";
  auto records = gateway::UsageFolder::Open(std::move(usage), "--data", clock_, metrics_);
  if (!records.ok()) return records.status();
  gateway_->RecordUsage(*std::move(records));

  op::LocalClusterOptions local;
  local.paths = options.paths;
  local.run_dir = run_dir_->path();
  local.runtime_program = base::BesideThis("mayfly-runtime");
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
  // There is one gateway, which ends with its operator, and a machine that slept is no reason to take its triggers away.
  operator_options.leases.quiet = milliseconds(0);
  operator_options.leases.term = operator_options.leases.told_term = std::chrono::hours(1);
  operator_ = std::make_unique<op::Operator>(*cluster_, link_, *replica_client_, clock_, metrics_,
                                             std::move(operator_options));
  link_.Connect(
      [this](const v1::RouteUpdate& update) {
        if (const absl::Status status = gateway_->Apply(update); !status.ok()) {
          base::log::Error("the gateway refused routes", {{"why", std::string(status.message())}});
        }
      },
      [this] { gateway_->RoutesComplete(); });
  if (absl::Status status = operator_->Start(); !status.ok()) return status;

  absl::StatusOr<std::unique_ptr<ControlApi>> api =
      ControlApi::Start(run_dir_->path() + "/api.sock", *cluster_, *operator_, *gateway_, *store_, metrics_,
                        url_, options.paths, data + "/usage");
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
      if (!object.ok() || !object->function || SteadyClock::now() >= deadline) break;
      // That another function has its route is in its status.
      if (link_.Has(key) && cluster_->Status(key)) break;
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
  const auto sources = std::min(deadline, SteadyClock::now() + kSourcesWithin);
  for (const std::string& key : cluster_->Functions()) {
    while (!TriggersAreKnown(key) && SteadyClock::now() < sources)
      std::this_thread::sleep_for(milliseconds(1));
  }
}

bool LocalStack::TriggersAreKnown(const std::string& key) const {
  const absl::StatusOr<op::FunctionObject> object = cluster_->GetFunction(key);
  if (!object.ok() || !object->function) return true;
  bool all_get_events = true;
  for (const op::Trigger& trigger : object->function->spec.triggers) {
    if (!trigger.event) continue;
    const std::optional<bool> gets_events = link_.GetsEvents(key, trigger.name);
    if (!gets_events) return false;
    all_get_events = all_get_events && *gets_events;
  }
  if (all_get_events) return true;
  const std::optional<op::FunctionStatus> status = cluster_->Status(key);
  return status && std::any_of(status->conditions.begin(), status->conditions.end(),
                               [](const op::Condition& condition) {
                                 return condition.type == op::kTriggersReady &&
                                        condition.status == op::ConditionStatus::kFalse;
                               });
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
  store_.reset();
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
