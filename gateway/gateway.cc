#include "gateway/gateway.h"

#include <mutex>
#include <utility>

#include "base/clock.h"
#include "gateway/activation/activator.h"
#include "gateway/http/http_server.h"

namespace mayfly::gateway {

// Destroyed from the last to the first: the front door closes before what is behind it goes.
struct Gateway::Parts {
  Parts(GatewayOptions options, base::Metrics& metrics)
      : router(options.router),
        activator(ActivatorOptions{.gateway = std::move(options.name),
                                   .delivery_threads = options.delivery_threads,
                                   .credentials = std::move(options.credentials),
                                   .report =
                                       [this](const v1::GatewayReport& report) {
                                         const std::lock_guard lock(report_mutex);
                                         if (on_report) on_report(report);
                                       }},
                  clock, metrics),
        http(std::move(options.http), router, activator, metrics) {}

  base::RealClock clock;
  std::mutex report_mutex;
  Report on_report;  // guarded by report_mutex

  std::mutex applying;  // the activator and the router take updates in the same order
  Router router;
  Activator activator;
  HttpServer http;
};

Gateway::Gateway(GatewayOptions options, base::Metrics& metrics)
    : parts_(std::make_unique<Parts>(std::move(options), metrics)) {}

Gateway::~Gateway() { Stop(std::chrono::steady_clock::now()); }

void Gateway::OnReport(Report report) {
  const std::lock_guard lock(parts_->report_mutex);
  parts_->on_report = std::move(report);
}

absl::StatusOr<std::string> Gateway::Start() { return parts_->http.Start(); }

absl::Status Gateway::Apply(const v1::RouteUpdate& update) {
  const std::lock_guard lock(parts_->applying);
  // The activator first: it refuses an old epoch, and knows a function before requests for it come.
  if (absl::Status status = parts_->activator.Apply(update); !status.ok()) return status;
  parts_->router.Apply(update);
  return absl::OkStatus();
}

std::vector<RouteProblem> Gateway::RouteProblems() const { return parts_->router.Problems(); }

void Gateway::Stop(std::chrono::steady_clock::time_point deadline) {
  parts_->http.Stop(deadline);
  parts_->activator.Stop(deadline);
}

}  // namespace mayfly::gateway
