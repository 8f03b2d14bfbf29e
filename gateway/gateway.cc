#include "gateway/gateway.h"

#include <mutex>
#include <utility>

#include "base/clock.h"
#include "gateway/activation/activator.h"
#include "gateway/delivery/async_dispatcher.h"
#include "gateway/delivery/notice_dispatcher.h"
#include "gateway/delivery/url_dispatcher.h"
#include "gateway/http/http_server.h"

namespace mayfly::gateway {

// Destroyed from the last to the first: the front door closes before what is behind it goes.
struct Gateway::Parts {
  Parts(GatewayOptions options, base::Metrics& metrics_of_process)
      : router(options.router),
        activator(ActivatorOptions{.gateway = std::move(options.name),
                                   .delivery_threads = options.delivery_threads,
                                   .credentials = std::move(options.credentials),
                                   .report =
                                       [this](const v1::GatewayReport& report) {
                                         const std::lock_guard lock(report_mutex);
                                         if (on_report) on_report(report);
                                       }},
                  clock, metrics_of_process),
        metrics(metrics_of_process),
        client(MakeHttpClient({.loopback = options.reach_loopback})),
        to_urls(*client),
        async(activator),
        notices(async),
        http(std::move(options.http), router, notices, metrics) {}

  base::RealClock clock;
  std::mutex report_mutex;
  Report on_report;  // guarded by report_mutex

  std::mutex applying;  // the activator and the router take updates in the same order
  Router router;
  Activator activator;
  base::Metrics& metrics;
  const std::unique_ptr<HttpClient> client;
  UrlDispatcher to_urls;
  std::unique_ptr<DeliveryEngine> engine;  // set before the first route comes
  AsyncDispatcher async;
  NoticeDispatcher notices;
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
  if (parts_->engine) parts_->engine->Apply(update);
  return absl::OkStatus();
}

void Gateway::RoutesComplete() { parts_->router.RoutesComplete(); }

std::vector<RouteProblem> Gateway::RouteProblems() const { return parts_->router.Problems(); }

void Gateway::ServeEvents(EventStore* store, SourceFactories sources) {
  for (const auto& factory : sources) {
    // The engine has the factory until the gateway is gone.
    if (store != nullptr && factory->receiver() != nullptr) parts_->notices.Use(*factory->receiver());
  }
  parts_->engine = std::make_unique<DeliveryEngine>(DeliveryOptions(), parts_->activator, store,
                                                    std::move(sources), parts_->clock, parts_->metrics);
  parts_->async.Use(*parts_->engine);
  parts_->engine->UseUrls(parts_->to_urls);
  parts_->engine->OnTriggers(
      [this](const std::vector<v1::TriggerReport>& triggers) { parts_->activator.ReportTriggers(triggers); });
  parts_->engine->OnLeases(
      parts_->activator.gateway(), parts_->activator.instance(),
      [this](const LeaseKeeper::News& news) { parts_->activator.ReportLeases(news.held, news.probe); });
  parts_->engine->Start();
}

void Gateway::RecordUsage(std::unique_ptr<UsageSink> sink) { parts_->activator.RecordUsage(std::move(sink)); }

absl::Status Gateway::WriteUsage() { return parts_->activator.WriteUsage(); }

std::vector<EventSums> Gateway::Events() const {
  return parts_->engine ? parts_->engine->Sums() : std::vector<EventSums>();
}

void Gateway::RunningEvents(std::function<void(std::set<std::string>)> done) const {
  if (!parts_->engine) return done({});
  parts_->engine->Running(std::move(done));
}

void Gateway::Stop(std::chrono::steady_clock::time_point deadline) {
  parts_->http.Stop(deadline);
  if (parts_->engine) parts_->engine->Stop(deadline);
  parts_->activator.Stop(deadline);
}

}  // namespace mayfly::gateway
