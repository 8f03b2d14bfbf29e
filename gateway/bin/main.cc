// mayfly-gateway: the gateway as a program. Its routes come from the operator that leads, or, for a gateway without an
// operator, from a file that SIGHUP has read again.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>

#include "admin/admin_server.h"
#include "base/descriptor_limit.h"
#include "base/lock_checks.h"
#include "base/log.h"
#include "base/metrics.h"
#include "gateway/bin/check.h"
#include "gateway/bin/route_file.h"
#include "gateway/control/control_client.h"
#include "gateway/gateway.h"
#include "gateway/metering/usage_folder.h"
#include "gateway/metering/usage_stream.h"
#include "gateway/sources/all/all_sources.h"
#include "gateway/store/sqlite/events_folder.h"
#include "tls/identity.h"

namespace {

namespace log = mayfly::base::log;
using mayfly::gateway::ControlClient;
using mayfly::gateway::Gateway;

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 && name[0] != '\0' ? name : "gateway";
}

bool ApplyFile(Gateway& gateway, const std::string& path, std::uint64_t version) {
  auto update = mayfly::gateway::ReadRouteFile(path, version);
  const absl::Status status = update.ok() ? gateway.Apply(*update) : update.status();
  if (!status.ok()) {
    log::Error("routes were not taken", {{"why", status.ToString()}});
    return false;
  }
  for (const auto& problem : gateway.RouteProblems()) {
    log::Warn(problem.message, {{"function", problem.function}, {"trigger", problem.trigger}});
  }
  log::Info("routes are in force", {{"file", path}, {"functions", update->upsert_size()}});
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  mayfly::base::SkipLockChecks();
  CLI::App app("The front door of Mayfly's functions.", "mayfly-gateway");
  std::string routes;
  std::string admin_address;
  std::string operator_address;
  std::uint32_t drain_seconds = 30;
  mayfly::gateway::GatewayOptions options;
  options.name.clear();
  options.router.awaits_routes = true;
  std::string check;
  std::string tls_folder;
  std::string events;
  std::string usage_records;
  const auto sources = app.add_option_group("where routes come from, or what else to do")->require_option(1);
  sources->add_option("--operator", operator_address, "HOST:PORT or unix:PATH of the operator to dial");
  sources->add_option("--routes", routes, "RouteUpdate in JSON; read again on SIGHUP");
  sources->add_option("--check", check, "HOST:PORT: only say whether a gateway answers there");
  app.add_option("--name", options.name, "this gateway's name in its reports (default: the host's name)");
  app.add_option("--listen", options.http.address, "HOST:PORT for HTTP; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--admin", admin_address, "HOST:PORT or unix:PATH for /metrics, /healthz and /readyz");
  app.add_option("--tls", tls_folder,
                 "folder of tls.crt, tls.key and ca.crt: speak TLS with the operator and with replicas");
  app.add_option(
      "--events", events,
      "folder where events are kept, of this gateway alone; without it there are no schedules, no requests "
      "with Prefer: respond-async, and no dead letters");
  app.add_option("--usage-records", usage_records,
                 "folder, of this gateway alone, for records of what invocations cost; - writes them to "
                 "standard output");
  app.add_option("--drain-seconds", drain_seconds, "how long running requests may take after SIGTERM")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  log::Init("gateway", log::Level::kInfo, log::Format::kLogfmt);

  if (!check.empty()) {
    const absl::Status status = mayfly::gateway::CheckAnswers(check, std::chrono::seconds(10));
    if (!status.ok()) log::Error("no gateway answers", {{"why", std::string(status.message())}});
    return status.ok() ? 0 : 1;
  }

  mayfly::base::RaiseDescriptorLimit();
  // Blocked before any thread starts: signals are taken below, one at a time.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  if (options.name.empty()) options.name = HostName();
  mayfly::base::Metrics metrics;
  const std::string name = options.name;
  const mayfly::base::RealClock clock;
  std::unique_ptr<mayfly::tls::Identity> identity;
  if (!tls_folder.empty()) {
    auto read = mayfly::tls::Identity::FromFolder(tls_folder, clock, metrics);
    if (!read.ok()) {
      log::Error("there is no TLS without certificates", {{"why", std::string(read.status().message())}});
      return 1;
    }
    identity = *std::move(read);
    options.credentials = identity->ForChannels();
  }
  std::unique_ptr<mayfly::gateway::EventStore> store;
  if (!events.empty()) {
    auto opened = mayfly::gateway::OpenEventsFolder(events, "--events", clock);
    if (!opened.ok()) {
      log::Error("events cannot be kept", {{"why", std::string(opened.status().message())}});
      return 1;
    }
    store = *std::move(opened);
    options.http.invocations = true;
  }
  std::unique_ptr<mayfly::gateway::UsageSink> usage;
  if (usage_records == "-") {
    usage = std::make_unique<mayfly::gateway::UsageStream>(STDOUT_FILENO);
  } else if (!usage_records.empty()) {
    mayfly::gateway::UsageFolderOptions folder;
    folder.folder = usage_records;
    auto opened = mayfly::gateway::UsageFolder::Open(std::move(folder), "--usage-records", clock, metrics);
    if (!opened.ok()) {
      log::Error("there are no usage records", {{"why", std::string(opened.status().message())}});
      return 1;
    }
    usage = *std::move(opened);
  }
  Gateway gateway(std::move(options), metrics);
  if (usage) gateway.RecordUsage(std::move(usage));
  gateway.ServeEvents(store.get(), mayfly::gateway::AllSources());
  std::unique_ptr<ControlClient> control;
  if (!operator_address.empty()) {
    control = std::make_unique<ControlClient>(
        mayfly::gateway::ControlClientOptions{.gateway = name,
                                              .target = operator_address,
                                              .credentials = identity ? identity->ForChannels() : nullptr,
                                              .server_name = mayfly::tls::kOperatorName},
        [&gateway](const mayfly::v1::RouteUpdate& update) { return gateway.Apply(update); }, metrics);
    gateway.OnReport([&control](const mayfly::v1::GatewayReport& report) { control->Report(report); });
  }
  std::uint64_t version = 1;
  if (control == nullptr && !ApplyFile(gateway, routes, version)) return 2;
  mayfly::admin::AdminServer admin(
      metrics, [&control] { return control == nullptr ? std::string() : control->NotReadyReason(); });
  if (!admin_address.empty()) {
    if (const auto bound = admin.Start(admin_address); !bound.ok()) {
      log::Error("the admin port cannot be opened", {{"why", bound.status().ToString()}});
      return 1;
    }
  }
  const auto bound = gateway.Start();
  if (!bound.ok()) {
    log::Error("the gateway cannot listen", {{"why", bound.status().ToString()}});
    return 1;
  }
  if (control != nullptr) control->Start();
  log::Info("ready", {{"address", *bound}});

  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGHUP) {
    if (control == nullptr) ApplyFile(gateway, routes, ++version);
  }
  log::Info("shutting down", {{"drain_seconds", drain_seconds}});
  gateway.Stop(std::chrono::steady_clock::now() + std::chrono::seconds(drain_seconds));
  if (control != nullptr) control->Stop();
  return 0;
}
