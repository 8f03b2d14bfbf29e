// The ControlServer is a GatewayLink over gRPC: the service Control, which gateways dial.
//
// It keeps the newest route of every function. A gateway that connects gets them all in one update; from then on one
// update at a time is on its way to it, and carries all that changed meanwhile: a slow gateway costs one pending key
// per function and holds up nobody. Nothing is sent before Open().
//
// Nothing is sent either before the first report of a gateway is taken in, and its probe, if it has one, is answered: what it says
// that it has by leases is in the routes that it gets then.
//
// A gateway whose stream ends is forgotten when it has not come back within `forget_after`: its listener then hears a
// last report, with `leaving` set. Until then its demand counts as it was, or as unknown once it is stale.
//
// Thread-safe. Reports come on gRPC's threads, several at once for different gateways; thread `control` forgets.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "operator/control/gateway_link.h"

namespace grpc {
class ServerCredentials;
}

namespace mayfly::op {

struct ControlServerOptions {
  std::string address;  // HOST:PORT (port 0: any) or unix:/path
  // Null: insecure, for tests and Unix sockets that only their owner can reach.
  std::shared_ptr<grpc::ServerCredentials> credentials;
  std::chrono::milliseconds forget_after{30'000};
  std::size_t most_gateways = 1'000;  // streams beyond are refused with RESOURCE_EXHAUSTED
};

class ControlServer final : public GatewayLink {
 public:
  // kUnavailable if it cannot listen. `clock` and `metrics` must outlive the server.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Start(ControlServerOptions options,
                                                              const base::Clock& clock,
                                                              base::Metrics& metrics);
  // Ends every stream. Gateways keep the routes they have.
  ~ControlServer() override;

  // What a gateway dials.
  const std::string& address() const;

  void Publish(const v1::RouteUpdate& update) override;
  void Open() override;
  void Answer(const std::string& gateway, std::uint64_t epoch, const v1::LeaseTerm& term) override;
  void OnReport(std::function<void(const v1::GatewayReport&)> report) override;

 private:
  struct Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::op
