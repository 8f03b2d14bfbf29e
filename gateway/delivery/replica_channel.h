// How a gateway's channel to a replica is set up: for speed on a fast network, and to notice dead peers.
#pragma once

#include <memory>
#include <string>

namespace grpc {
class Channel;
class ChannelCredentials;
}  // namespace grpc

namespace mayfly::gateway {

// A channel of its own: it shares no connection and no reconnect timer with another. `credentials` null:
// insecure; else the replica must be `server_name`.
std::shared_ptr<grpc::Channel> MakeReplicaChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const std::string& server_name);

}  // namespace mayfly::gateway
