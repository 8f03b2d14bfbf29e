// A RuntimeServer answers gRPC for a replica: mayfly.v1.Runtime, grpc.health.v1 and reflection.
//
// Health: service "" is SERVING as long as the process answers (liveness); "mayfly.v1.Runtime" is SERVING
// while the replica holds a module and does not drain (readiness to take invocations).
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/status.h"
#include "runtime/server/replica.h"

namespace grpc {
class ServerCredentials;
}

namespace mayfly::runtime {

class RuntimeServer {
 public:
  // Listens on `address`: "unix:/path" (mode 0600) or "HOST:PORT" (port 0: any). `replica` must outlive the
  // server. Without `credentials`, who can connect can command. kUnavailable if the address cannot be had.
  static absl::StatusOr<std::unique_ptr<RuntimeServer>> Start(
      const std::string& address, Replica& replica,
      std::shared_ptr<grpc::ServerCredentials> credentials = {});

  // Ends every call at once.
  ~RuntimeServer();

  // As bound: a gRPC target.
  const std::string& address() const;

  // Takes no new calls, ends Serve streams that have nothing more to say, and waits for the other calls until
  // `deadline`; then ends them.
  void Shutdown(std::chrono::system_clock::time_point deadline);

 private:
  struct Impl;
  explicit RuntimeServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::runtime
