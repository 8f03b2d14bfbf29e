// A ReplicaClient commands runtimes: Load, Drain, Describe.
//
// Every call has a deadline and blocks its thread until then at the latest. Thread-safe.
#pragma once

#include <chrono>
#include <string>

#include "base/status.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::op {

class ReplicaClient {
 public:
  virtual ~ReplicaClient() = default;

  // `address` is a gRPC target. An unreachable runtime is kUnavailable; a refused module is an OK reply with
  // a problem.
  virtual absl::StatusOr<v1::LoadReply> Load(const std::string& address, const v1::LoadRequest& request,
                                             std::chrono::milliseconds timeout) = 0;
  virtual absl::StatusOr<v1::DrainReply> Drain(const std::string& address, const v1::DrainRequest& request,
                                               std::chrono::milliseconds timeout) = 0;
  virtual absl::StatusOr<v1::DescribeReply> Describe(const std::string& address,
                                                     std::chrono::milliseconds timeout) = 0;

  // The replica at `address` is gone: drops its connection, and ends calls to it that run, with kCancelled.
  virtual void Forget(const std::string& address) = 0;
  // Ends the calls that run, and every later one, with kCancelled: so that whoever waits for them can stop.
  virtual void Cancel() = 0;
};

}  // namespace mayfly::op
