// A GrpcReplicaClient is the ReplicaClient of real runtimes: one gRPC channel per replica, kept until the replica is gone.
//
// Thread-safe. A call waits for the connection within its deadline, and ends with kUnavailable if the replica refuses
// it or is gone. Destroying it requires that no call runs: Cancel() first.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "operator/control/replica_client.h"

namespace grpc {
class ChannelCredentials;
}

namespace mayfly::op {

class GrpcReplicaClient final : public ReplicaClient {
 public:
  // Plain text if `credentials` is null: for Unix sockets in a folder only their owner can enter.
  // With them, the runtime at an address must have the name that `server_name` says; it is called on callers' threads.
  explicit GrpcReplicaClient(std::shared_ptr<grpc::ChannelCredentials> credentials,
                             std::function<std::string(const std::string& address)> server_name = {});
  ~GrpcReplicaClient() override;

  absl::StatusOr<v1::LoadReply> Load(const std::string& address, const v1::LoadRequest& request,
                                     std::chrono::milliseconds timeout) override;
  absl::StatusOr<v1::DrainReply> Drain(const std::string& address, const v1::DrainRequest& request,
                                       std::chrono::milliseconds timeout) override;
  absl::StatusOr<v1::DescribeReply> Describe(const std::string& address,
                                             std::chrono::milliseconds timeout) override;
  void Forget(const std::string& address) override;
  void Cancel() override;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::op
