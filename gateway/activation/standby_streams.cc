#include "gateway/activation/standby_streams.h"

#include <utility>
#include <vector>

#include "tls/names.h"

namespace mayfly::gateway {
namespace {

// Has nothing to send, and nobody to tell: a stream that breaks connects again by itself.
class NobodyYet final : public ReplicaStream::Owner {
 public:
  void Fill(RequestBatch& /*batch*/) override {}
  void OnWritten() override {}
  void OnReply(v1::ServeReply& /*reply*/, bool /*first*/) override {}
  void OnBroken(const absl::Status& /*why*/, bool /*graceful*/) override {}
  void OnClosed() override {}
};

}  // namespace

StandbyStreams::StandbyStreams(DeliveryLoop& loop, std::shared_ptr<grpc::ChannelCredentials> credentials)
    : loop_(loop), credentials_(std::move(credentials)) {}

StandbyStreams::~StandbyStreams() { Set({}); }

void StandbyStreams::Set(const v1::Standby& standby) {
  std::vector<std::shared_ptr<ReplicaStream>> opened;
  std::map<std::string, std::shared_ptr<ReplicaStream>> closed;
  {
    const std::lock_guard lock(mutex_);
    closed.swap(streams_);
    std::set<std::string> taken;
    for (const v1::StandbyReplica& replica : standby.replicas()) {
      const std::string& address = replica.address();
      if (taken_.contains(address)) {
        taken.insert(address);
      } else if (auto known = closed.extract(address); !known.empty()) {
        streams_.insert(std::move(known));
      } else if (streams_.size() < kMost && !streams_.contains(address)) {
        auto stream =
            ReplicaStream::Create(loop_, address, credentials_, tls::RuntimeName(replica.namespace_()));
        streams_[address] = stream;
        opened.push_back(std::move(stream));
      }
    }
    taken_ = std::move(taken);
  }
  for (const auto& stream : opened) stream->Start(std::make_shared<NobodyYet>());
  for (const auto& [address, stream] : closed) stream->Close();
}

std::shared_ptr<ReplicaStream> StandbyStreams::Take(const std::string& address) {
  const std::lock_guard lock(mutex_);
  auto found = streams_.extract(address);
  if (found.empty()) return nullptr;
  taken_.insert(address);
  return std::move(found.mapped());
}

}  // namespace mayfly::gateway
