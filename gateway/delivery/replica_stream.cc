#include "gateway/delivery/replica_stream.h"

#include <grpcpp/alarm.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <utility>

#include "gateway/delivery/replica_channel.h"

namespace mayfly::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kShortestPause{1};
constexpr milliseconds kLongestPause{1'000};
constexpr milliseconds kSilenceBeforeFirstReply{5'000};
constexpr milliseconds kUpLongEnough{1'000};

class ReplicaStreamImpl final : public ReplicaStream, public std::enable_shared_from_this<ReplicaStreamImpl> {
 public:
  ReplicaStreamImpl(DeliveryLoop& loop, std::string address,
                    std::shared_ptr<grpc::ChannelCredentials> credentials, std::string server_name)
      : pass_(loop.Enter()),
        queue_(loop.NextQueue()),
        address_(std::move(address)),
        credentials_(std::move(credentials)),
        server_name_(std::move(server_name)) {}

  void Start(std::shared_ptr<Owner> owner) override;
  void Kick() override;
  void Barrier() override { const std::lock_guard lock(mutex_); }
  void Close() override;

 private:
  enum class Phase { kPausing, kConnecting, kUp, kEnding };

  // One completion of one kind: gRPC gives its address back when the operation is done.
  struct Step final : DeliveryLoop::Completion {
    Step(ReplicaStreamImpl& s, void (ReplicaStreamImpl::*m)(bool)) : stream(s), method(m) {}
    void Run(bool ok) override { (stream.*method)(ok); }
    ReplicaStreamImpl& stream;
    void (ReplicaStreamImpl::*method)(bool);
  };

  // One connection and the stream on it.
  struct Attempt {
    std::shared_ptr<grpc::Channel> channel;
    grpc::ClientContext context;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
    grpc::Alarm watchdog;
    grpc::Status status;
    absl::Status broken;  // not OK: it was this side that broke the stream
    steady_clock::time_point up_since;
    bool was_up = false;
  };

  static absl::Status WhyEnded(const Attempt& attempt);
  void Connect();        // REQUIRES: mutex_ held
  void WriteIfReady();   // REQUIRES: mutex_ held
  void FinishIfQuiet();  // REQUIRES: mutex_ held
  void Done();
  void OnStarted(bool ok);
  void OnWatchdog(bool ok);
  void OnRead(bool ok);
  void OnWrite(bool ok);
  void OnFinished(bool ok);
  void OnPauseOver(bool ok);
  void OnHandOver(bool ok);

  base::Gate::Pass pass_;
  grpc::CompletionQueue& queue_;
  const std::string address_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const std::string server_name_;

  // Touched by the delivery thread only, between a Read and the next.
  grpc::ByteBuffer read_bytes_;
  v1::ServeReply reply_;
  v1::Capacity capacity_;  // as the replica told it last

  Step started_{*this, &ReplicaStreamImpl::OnStarted};
  Step watchdog_{*this, &ReplicaStreamImpl::OnWatchdog};
  Step read_{*this, &ReplicaStreamImpl::OnRead};
  Step write_{*this, &ReplicaStreamImpl::OnWrite};
  Step finished_{*this, &ReplicaStreamImpl::OnFinished};
  Step pause_over_{*this, &ReplicaStreamImpl::OnPauseOver};
  Step hand_over_{*this, &ReplicaStreamImpl::OnHandOver};

  // How many Kick()s have not been looked after; whoever takes it from zero does.
  std::atomic<int> kicks_{0};

  std::mutex mutex_;
  // Guarded by mutex_:
  std::shared_ptr<Owner> owner_;             // changes on the delivery thread alone, once started
  std::shared_ptr<Owner> next_owner_;        // set: OnHandOver() is under way
  std::shared_ptr<ReplicaStreamImpl> self_;  // kept while operations are in the queue
  Phase phase_ = Phase::kPausing;
  bool closing_ = false;
  bool done_ = false;  // nothing is left but to tell the owner, after OnHandOver() if that is under way
  bool write_pending_ = false;
  int pending_ = 0;  // operations of the attempt, its Finish aside
  std::unique_ptr<Attempt> attempt_;
  grpc::Alarm pause_;
  grpc::Alarm hand_over_now_;
  milliseconds next_pause_ = kShortestPause;
  RequestBatch batch_;
};

std::chrono::system_clock::time_point After(milliseconds pause) {
  return std::chrono::system_clock::now() + pause;
}

void ReplicaStreamImpl::Start(std::shared_ptr<Owner> owner) {
  {
    const std::lock_guard lock(mutex_);
    if (!closing_ && self_) {
      next_owner_ = std::move(owner);
      // On the delivery thread, where nothing of the owner before is under way.
      hand_over_now_.Set(&queue_, std::chrono::system_clock::now(), &hand_over_);
      return;
    }
    if (!closing_ && pass_) {
      owner_ = std::move(owner);
      self_ = shared_from_this();
      Connect();
      return;
    }
  }
  owner->OnClosed();
}

void ReplicaStreamImpl::Connect() {
  attempt_ = std::make_unique<Attempt>();
  attempt_->channel = MakeReplicaChannel(address_, credentials_, server_name_);
  grpc::GenericStub stub(attempt_->channel);
  attempt_->call = stub.PrepareCall(&attempt_->context, "/mayfly.v1.Runtime/Serve", &queue_);
  phase_ = Phase::kConnecting;
  pending_ = 3;
  // StartCall() counts as a write: gRPC may give the first reply back before it.
  write_pending_ = true;
  attempt_->call->StartCall(&started_);
  attempt_->call->Read(&read_bytes_, &read_);
  attempt_->watchdog.Set(&queue_, After(kSilenceBeforeFirstReply), &watchdog_);
}

void ReplicaStreamImpl::Kick() {
  int seen = kicks_.fetch_add(1, std::memory_order_acq_rel) + 1;
  if (seen != 1) return;
  do {
    seen = kicks_.load(std::memory_order_acquire);
    const std::lock_guard lock(mutex_);
    WriteIfReady();
  } while (kicks_.fetch_sub(seen, std::memory_order_acq_rel) != seen);
}

void ReplicaStreamImpl::WriteIfReady() {
  if (phase_ != Phase::kUp || write_pending_) return;
  owner_->Fill(batch_);
  if (batch_.empty()) return;
  // One allocation, which gRPC frees when the transport is done with it.
  grpc::Slice slice(batch_.EncodedSize());
  // The slice is ours until it is in a buffer, and its bytes were allocated writable.
  batch_.EncodeTo(const_cast<std::uint8_t*>(slice.begin()));
  batch_.Clear();
  write_pending_ = true;
  ++pending_;
  attempt_->call->Write(grpc::ByteBuffer(&slice, 1), &write_);
}

void ReplicaStreamImpl::FinishIfQuiet() {
  if (phase_ == Phase::kEnding && pending_ == 0) attempt_->call->Finish(&attempt_->status, &finished_);
}

void ReplicaStreamImpl::OnStarted(bool /*ok*/) {
  const std::lock_guard lock(mutex_);
  --pending_;
  write_pending_ = false;
  WriteIfReady();
  FinishIfQuiet();
}

void ReplicaStreamImpl::OnWatchdog(bool expired) {
  const std::lock_guard lock(mutex_);
  --pending_;
  if (expired && phase_ == Phase::kConnecting) {
    attempt_->broken = absl::DeadlineExceededError("the replica does not say anything");
    attempt_->context.TryCancel();
  }
  FinishIfQuiet();
}

void ReplicaStreamImpl::OnRead(bool ok) {
  // Parsed here and not by gRPC, for which a message that is none is the end of the stream: the replica would go on, and
  // Finish() wait for it for ever.
  const bool parsed =
      ok && grpc::SerializationTraits<v1::ServeReply>::Deserialize(&read_bytes_, &reply_).ok();
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (!parsed) {
      if (ok) {
        attempt_->broken = absl::InternalError("the replica sent a message that is none");
        attempt_->context.TryCancel();
      }
      phase_ = Phase::kEnding;
      --pending_;
      attempt_->watchdog.Cancel();
      FinishIfQuiet();
      return;
    }
    first = !attempt_->was_up;
    if (first) {
      attempt_->was_up = true;
      attempt_->up_since = steady_clock::now();
      attempt_->watchdog.Cancel();
      phase_ = Phase::kUp;
    }
  }
  if (reply_.has_capacity()) capacity_ = reply_.capacity();
  owner_->OnReply(reply_, first);
  // The attempt lives as long as its read is pending, and this thread alone ends it.
  attempt_->call->Read(&read_bytes_, &read_);
  if (first) Kick();
}

void ReplicaStreamImpl::OnWrite(bool ok) {
  {
    const std::lock_guard lock(mutex_);
    write_pending_ = false;
    --pending_;
    if (!ok || phase_ != Phase::kUp) {
      if (!ok) attempt_->context.TryCancel();
      FinishIfQuiet();
      return;
    }
    // What has gathered goes out before anyone is told that the last message has.
    WriteIfReady();
  }
  owner_->OnWritten();
}

absl::Status ReplicaStreamImpl::WhyEnded(const Attempt& attempt) {
  if (!attempt.broken.ok()) return attempt.broken;
  if (attempt.status.ok()) return absl::UnavailableError("the replica ended the stream");
  return {static_cast<absl::StatusCode>(attempt.status.error_code()), attempt.status.error_message()};
}

void ReplicaStreamImpl::OnFinished(bool /*ok*/) {
  std::unique_ptr<Attempt> attempt;
  {
    const std::lock_guard lock(mutex_);
    attempt = std::move(attempt_);
    phase_ = Phase::kPausing;
  }
  const bool graceful = attempt->was_up && attempt->status.ok() && attempt->broken.ok();
  const absl::Status why = WhyEnded(*attempt);
  owner_->OnBroken(why, graceful);
  {
    const std::lock_guard lock(mutex_);
    if (!closing_) {
      if (attempt->was_up && steady_clock::now() - attempt->up_since >= kUpLongEnough) {
        next_pause_ = kShortestPause;
      }
      pause_.Set(&queue_, After(next_pause_), &pause_over_);
      next_pause_ = std::min(next_pause_ * 2, kLongestPause);
      return;
    }
  }
  Done();
}

void ReplicaStreamImpl::OnPauseOver(bool /*ok*/) {
  {
    const std::lock_guard lock(mutex_);
    if (!closing_) {
      Connect();
      return;
    }
  }
  Done();
}

void ReplicaStreamImpl::OnHandOver(bool /*ok*/) {
  std::shared_ptr<Owner> before;
  bool up = false;
  bool done = false;
  {
    const std::lock_guard lock(mutex_);
    before = std::exchange(owner_, std::move(next_owner_));
    next_owner_ = nullptr;
    up = phase_ == Phase::kUp;
    done = done_;
  }
  before->OnClosed();
  if (done) return Done();
  if (!up) return;
  v1::ServeReply reply;
  *reply.mutable_capacity() = capacity_;
  owner_->OnReply(reply, /*first=*/true);
  Kick();
}

void ReplicaStreamImpl::Close() {
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  closing_ = true;
  if (attempt_) {
    attempt_->context.TryCancel();
  } else {
    pause_.Cancel();
  }
}

void ReplicaStreamImpl::Done() {
  // Given up in this order once the lock is released: the pass last, as it lets the queue go.
  base::Gate::Pass pass;
  std::shared_ptr<ReplicaStreamImpl> self;
  std::shared_ptr<Owner> owner;
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
    if (next_owner_) return;
    owner = std::move(owner_);
    self = std::move(self_);
    pass = std::move(pass_);
  }
  owner->OnClosed();
}

}  // namespace

std::shared_ptr<ReplicaStream> ReplicaStream::Create(DeliveryLoop& loop, std::string address,
                                                     std::shared_ptr<grpc::ChannelCredentials> credentials,
                                                     std::string server_name) {
  return std::make_shared<ReplicaStreamImpl>(loop, std::move(address), std::move(credentials),
                                             std::move(server_name));
}

}  // namespace mayfly::gateway
