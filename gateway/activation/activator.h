// The Activator is the gateway's Dispatcher: it knows every function's route and takes each invocation to its
// function's activator.
//
// Thread-safe. Threads: `gw-deadlines` (timeouts, see DeadlineWheel), `gw-demand` (reports, see
// DemandReporter) and `delivery-N` (traffic with replicas, see DeliveryLoop). A function at rest has no
// thread and no timer.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "gateway/delivery/dispatcher.h"
#include "gateway/metering/usage_sink.h"

namespace grpc {
class ChannelCredentials;
}

namespace mayfly::gateway {

class FunctionActivator;

struct ActivatorOptions {
  std::string gateway;  // its name in reports
  std::size_t delivery_threads = 1;
  // For replicas. Null: insecure, for Unix sockets and tests.
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  // Demand, confirmations, unreachable replicas. Called on any thread, one call at a time; must not block.
  std::function<void(const v1::GatewayReport&)> report;
};

class Activator final : public Dispatcher {
 public:
  // `clock` and `metrics` must outlive the Activator.
  Activator(ActivatorOptions options, const base::Clock& clock, base::Metrics& metrics);
  // Ends what still runs, as Stop() with a deadline that has passed.
  ~Activator() override;

  // Takes new routes. When it returns, no new invocation goes to an endpoint that they removed.
  // kFailedPrecondition for an epoch older than one already seen, or a version that is not newer.
  absl::Status Apply(const v1::RouteUpdate& update);

  std::unique_ptr<Dispatched> Begin(DispatchRequest request, std::shared_ptr<AnswerSink> sink) override;

  // Has what invocations cost written to `sink`. Call once, before the first Apply().
  void RecordUsage(std::unique_ptr<UsageSink> sink);
  // Writes it now, for who is about to read. kFailedPrecondition if nobody asked for it.
  absl::Status WriteUsage();

  // Tells the operator of triggers, on the calling thread.
  void ReportTriggers(const std::vector<v1::TriggerReport>& triggers);

  // Tells the operator which triggers this gateway has by leases, on the calling thread.
  void ReportLeases(const v1::HeldLeases& held, std::uint64_t probe);
  // Who reports, and which process of that name.
  const std::string& gateway() const;
  const std::string& instance() const;

  // Refuses new invocations and waits until those that were taken have their results; at `deadline`, those
  // that have none end with kReasonShuttingDown. Then closes every stream. Idempotent.
  void Stop(std::chrono::steady_clock::time_point deadline);

 private:
  struct Parts;

  std::shared_ptr<FunctionActivator> Find(const std::string& function) const;

  const base::Clock& clock_;
  base::Metrics& metrics_;
  std::unique_ptr<Parts> parts_;

  std::mutex applying_;  // one update at a time
  // Guarded by applying_:
  std::uint64_t epoch_ = 0;
  std::uint64_t version_ = 0;
  bool any_route_ = false;

  mutable std::shared_mutex mutex_;
  // Guarded by mutex_:
  std::unordered_map<std::string, std::shared_ptr<FunctionActivator>> functions_;
  bool stopping_ = false;
};

}  // namespace mayfly::gateway
