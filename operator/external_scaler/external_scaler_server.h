// The ExternalScalerServer is where KEDA dials an operator that leads: KEDA's gRPC contract in front of an ExternalScaler.
//
// Streams of StreamIsActive hear of a change at once when demand comes (Notice()), and within a second when it has gone. They
// are bounded, as are the streams and requests of one connection by gRPC.
//
// Thread-safe. Requests are answered on gRPC's threads; thread `ext-scaler` looks each second at what streams were told.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "operator/external_scaler/external_scaler.h"

namespace grpc {
class ServerCredentials;
}

namespace mayfly::op {

struct ExternalScalerOptions {
  std::string address;  // HOST:PORT (port 0: any)
  // Null: insecure, for tests.
  std::shared_ptr<grpc::ServerCredentials> credentials;
  std::size_t most_streams = 10'000;
  std::chrono::milliseconds look{1'000};
};

class ExternalScalerServer {
 public:
  // kUnavailable if it cannot listen. `scaler`, `clock` and `metrics` must outlive the server.
  static absl::StatusOr<std::unique_ptr<ExternalScalerServer>> Start(ExternalScalerOptions options,
                                                                     const ExternalScaler& scaler,
                                                                     const base::Clock& clock,
                                                                     base::Metrics& metrics);
  // Ends every stream.
  ~ExternalScalerServer();

  // What KEDA dials.
  const std::string& address() const;

  // Something was told of `function`. Does not block.
  void Notice(const std::string& function);

 private:
  struct Impl;
  explicit ExternalScalerServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::op
