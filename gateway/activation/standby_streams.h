// StandbyStreams keeps a stream to each replica of a pool that no function has yet, so that the function that takes one
// waits for no TCP, TLS and HTTP/2 handshake.
//
// Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "gateway/delivery/delivery_loop.h"
#include "gateway/delivery/replica_stream.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

class StandbyStreams {
 public:
  // So many at most; those beyond are connected to once they are needed.
  static constexpr std::size_t kMost = 256;

  // `loop` must outlive it. `credentials` as ReplicaStream::Create() takes them.
  StandbyStreams(DeliveryLoop& loop, std::shared_ptr<grpc::ChannelCredentials> credentials);
  // Closes them all.
  ~StandbyStreams();

  // Connects to those of `standby` that are new, and closes the streams to those that are gone.
  void Set(const v1::Standby& standby);
  // The stream to `address`, for the caller to Start() for itself; null if there is none. Another is not opened while Set()
  // still names the address.
  std::shared_ptr<ReplicaStream> Take(const std::string& address);

 private:
  DeliveryLoop& loop_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<ReplicaStream>> streams_;  // guarded by mutex_; by address
  std::set<std::string> taken_;                                    // guarded by mutex_; addresses
};

}  // namespace mayfly::gateway
