// The Gateway is the data plane as one part: routes in, HTTP in, invocations out to replicas, demand up.
//
// The program mayfly-gateway and `mayfly up` are both made of it. It needs nothing but routes, and goes on with the
// last ones when nobody sends any.
//
// Thread-safe.
//   thread          how many             what it does
//   event loops     one per core         HttpServer: sockets of clients; begin invocations, encode and send them
//   delivery-N      delivery_threads     DeliveryLoop: sockets of replicas; read answers, call sinks
//   gw-deadlines    1                    DeadlineWheel: timeouts of invocations; asleep while none can be due
//   events          1                    DeliveryEngine: events of triggers, and asynchronous requests
//   event-janitor   1                    waits for sources that end; asleep while none does
//   gw-demand       1                    DemandReporter: reports; asleep while there is no demand
//   gw-usage        0 or 1               UsageRecorder: writes usage records; asleep while nothing is charged
// gRPC adds a few timer and executor threads of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/status.h"
#include "gateway/delivery/delivery_engine.h"
#include "gateway/http/http_options.h"
#include "gateway/metering/usage_sink.h"
#include "gateway/routing/router.h"
#include "gateway/sources/source_factory.h"
#include "mayfly/v1/control.pb.h"

namespace grpc {
class ChannelCredentials;
}

namespace mayfly::gateway {

struct GatewayOptions {
  std::string name = "gateway";  // in reports
  HttpOptions http;
  RouterOptions router;
  std::size_t delivery_threads = 1;
  // Whether results may go to URLs of this machine: on one machine, where tests and tools are.
  bool reach_loopback = false;
  // For replicas. Null: insecure, for Unix sockets that only their owner can reach.
  std::shared_ptr<grpc::ChannelCredentials> credentials;
};

class Gateway {
 public:
  using Report = std::function<void(const v1::GatewayReport&)>;

  // `metrics` must outlive the gateway.
  Gateway(GatewayOptions options, base::Metrics& metrics);
  // Stops at once if Stop() was not called.
  ~Gateway();

  // Called on any thread, one call at a time; must not block, nor wait for a thread that is in Apply() or Stop().
  // REQUIRES: called before Start() and the first Apply().
  void OnReport(Report report);

  // Listens, and returns the address bound. Errors as HttpServer::Start(). Call once.
  absl::StatusOr<std::string> Start();

  // Serves triggers by `sources`, and asynchronous requests if there is a `store`, which must outlive the gateway.
  // Call once, before the first Apply().
  void ServeEvents(EventStore* store, SourceFactories sources);

  // Has what invocations cost written to `sink`: see UsageRecorder. Call once, before the first Apply().
  void RecordUsage(std::unique_ptr<UsageSink> sink);
  // Writes what they have cost until now. kFailedPrecondition without RecordUsage(), or the sink's error.
  absl::Status WriteUsage();

  // Takes new routes. When it returns, no new invocation goes to an endpoint that they removed.
  // kFailedPrecondition for an epoch older than one already seen, or a version that is not newer.
  absl::Status Apply(const v1::RouteUpdate& update);

  // All that was there at the start has its routes: what asks for another path is answered with 404 from now on, and not with
  // 503 any more. For a gateway whose router awaits routes; the first snapshot says the same.
  void RoutesComplete();

  // Triggers that get no requests, or not all they ask for, and why.
  std::vector<RouteProblem> RouteProblems() const;

  // What became of the events of each trigger. As of at most a second ago.
  std::vector<EventSums> Events() const;

  // Calls `done`, on a thread of the gateway's, with the records of stored events whose invocations run.
  void RunningEvents(std::function<void(std::set<std::string>)> done) const;

  // In order: no new connections; sources bring no more; requests that are here get their answers, until `deadline`; the rest is cut;
  // streams to replicas are closed. Idempotent.
  void Stop(std::chrono::steady_clock::time_point deadline);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace mayfly::gateway
