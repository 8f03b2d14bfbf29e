// The ControlClient is the gateway's side of the control stream: it dials the operator that leads, hands its routes to
// the gateway and the gateway's reports to it.
//
// A name may stand for several operators (a headless Service): those that do not lead do not listen, so each address is
// tried until one takes the stream. While there is none, the gateway goes on with the routes it has; demand that
// changes meanwhile is merged, one entry per function, and all that is not zero is told first to whoever leads next.
//
// Thread-safe. Thread `gw-control` dials; routes are applied on gRPC's threads, one update at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/status.h"
#include "mayfly/v1/control.pb.h"

namespace grpc {
class ChannelCredentials;
}

namespace mayfly::gateway {

struct ControlClientOptions {
  std::string gateway;  // its name in reports
  std::string target;   // HOST:PORT or unix:/path
  // Null: insecure, for tests and Unix sockets.
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  // The name in the operator's certificate; "" for the host of `target`.
  std::string server_name;
};

class ControlClient {
 public:
  // `apply` takes an update in force, or says why not; it is called on one thread at a time.
  ControlClient(ControlClientOptions options, std::function<absl::Status(const v1::RouteUpdate&)> apply,
                base::Metrics& metrics);
  // As Stop().
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  void Start();
  // A report of the gateway's. Does not block.
  void Report(const v1::GatewayReport& report);
  // "" once routes have come, else why the gateway has none yet.
  std::string NotReadyReason() const;
  // Tells the operator that this gateway ends, for half a second at most, and closes the stream. Idempotent.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::gateway
