#include "runtime/server/serve_stream.h"

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mayfly::runtime {
namespace {

// Data is cut into parts of at most this, and a message is closed once it holds that much.
constexpr std::size_t kLargestPart = 256 << 10;
constexpr std::size_t kLargestMessage = 512 << 10;
// So many parts may wait before reading stops.
constexpr std::size_t kLongestOutbox = 4096;
// Messages are reused with what they have allocated, up to here.
constexpr std::size_t kKeepMessage = 256 << 10;

class ServeStream final : public grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeReply>,
                          public CapacityListener,
                          public std::enable_shared_from_this<ServeStream> {
 public:
  explicit ServeStream(Replica& replica) : replica_(replica) {}

  void Open() {
    self_ = shared_from_this();
    replica_.Subscribe(this);
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    std::unique_lock lock(mutex_);
    ++reading_;
    if (!ok) {
      // The peer has said all it will: what runs may finish, but a body that is not complete never will be.
      reads_done_ = true;
      std::vector<std::shared_ptr<PoolCall>> lost;
      for (const auto& [id, call] : calls_) {
        if (!call->body_complete && call->pool_call) lost.push_back(call->pool_call);
      }
      lock.unlock();
      for (const auto& pool_call : lost) pool_call->Cancel();
    } else {
      lock.unlock();
      HandleRequest();
      lock.lock();
      const bool pause = outbox_parts_ >= kLongestOutbox;
      if (pause) read_paused_ = true;
      const bool read = !pause && !end_;
      lock.unlock();
      if (read) StartRead(&request_);
    }
    lock.lock();
    --reading_;
    Flush(lock);
  }

  void OnWriteDone(bool ok) override {
    std::unique_lock lock(mutex_);
    writing_ = false;
    if (!ok) End(grpc::Status::CANCELLED);
    const bool read = read_paused_ && outbox_parts_ < kLongestOutbox && !end_;
    if (read) {
      read_paused_ = false;
      ++reading_;
      lock.unlock();
      StartRead(&request_);
      lock.lock();
      --reading_;
    }
    Flush(lock);
  }

  void OnCancel() override {
    std::unique_lock lock(mutex_);
    End(grpc::Status::CANCELLED);
    Flush(lock);
    if (lock.owns_lock()) lock.unlock();
    CancelAll();
  }

  void OnDone() override {
    replica_.Unsubscribe(this);
    self_.reset();  // may end this object
  }

  void OnCapacity(const v1::Capacity& capacity) override {
    std::unique_lock lock(mutex_);
    capacity_ = capacity;
    capacity_changed_ = true;
    Flush(lock);
  }

  void OnClose() override {
    std::unique_lock lock(mutex_);
    closing_ = true;
    Flush(lock);
  }

 private:
  // One invocation of the stream, and where its answer comes to. Its fields are guarded by the stream's
  // mutex_.
  struct Call final : ResponseSink {
    Call(std::shared_ptr<ServeStream> its_stream, std::uint64_t its_id)
        : stream(std::move(its_stream)), id(its_id) {}

    void OnPart(v1::ResponsePart&& part) override { stream->Deliver(*this, std::move(part)); }
    void OnFlush() override { stream->FlushGathered(); }

    const std::shared_ptr<ServeStream> stream;
    const std::uint64_t id;
    std::shared_ptr<PoolCall> pool_call;
    bool body_complete = false;
  };

  void HandleRequest() {
    std::size_t bytes = 0;
    for (v1::RequestPart& part : *request_.mutable_parts()) {
      bytes += part.data().size();
      if (const char* violation = part.has_start() ? Begin(part) : Continue(part)) {
        {
          const std::lock_guard lock(mutex_);
          End(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, violation));
        }
        CancelAll();
        return;
      }
    }
    if (bytes > kKeepMessage) request_ = v1::ServeRequest();
  }

  // A further part of a call; null, or how it breaks the protocol.
  const char* Continue(const v1::RequestPart& part) {
    const bool writes = !part.data().empty() || part.end();
    std::shared_ptr<PoolCall> pool_call;
    {
      const std::lock_guard lock(mutex_);
      const auto found = calls_.find(part.call());
      if (found == calls_.end()) return nullptr;
      Call& call = *found->second;
      if (writes && call.body_complete) return "data came after the end of a call's body";
      call.body_complete = call.body_complete || part.end();
      pool_call = call.pool_call;
    }
    // Reads are handled one at a time, so the call's Start() has returned; without a pool call it has its
    // result.
    if (!pool_call) return nullptr;
    if (writes) pool_call->Write(part.data(), part.end());
    if (part.window() != 0) pool_call->Grant(part.window());
    if (part.cancel()) pool_call->Cancel();
    return nullptr;
  }

  // The first part of a call; null, or how it breaks the protocol.
  const char* Begin(v1::RequestPart& part) {
    auto call = std::make_shared<Call>(shared_from_this(), part.call());
    call->body_complete = part.end();
    {
      const std::lock_guard lock(mutex_);
      if (end_) return nullptr;
      if (!calls_.try_emplace(part.call(), call).second)
        return "a call was begun under the number of one that runs";
    }
    v1::Start& start = *part.mutable_start();
    if (start.timeout_ms() == 0) start.set_timeout_ms(static_cast<std::uint32_t>(replica_.timeout().count()));
    if (start.attempt() == 0) start.set_attempt(1);
    if (part.window() != 0) start.set_window(start.window() + part.window());
    std::shared_ptr<PoolCall> pool_call = replica_.Start(start, part.data(), part.end(), call);
    if (!pool_call) return nullptr;
    bool cancel = part.cancel();
    {
      const std::lock_guard lock(mutex_);
      // Its result may have come already.
      const auto found = calls_.find(part.call());
      if (found != calls_.end() && found->second == call) {
        call->pool_call = pool_call;
      } else {
        // Or the stream has ended, and CancelAll() found nothing to cancel.
        cancel = cancel || end_.has_value();
      }
    }
    if (cancel) pool_call->Cancel();
    return nullptr;
  }

  // A step of `call`'s answer, from the pool.
  void Deliver(Call& call, v1::ResponsePart&& part) {
    std::shared_ptr<PoolCall> ended;  // let go unlocked
    std::shared_ptr<Call> ended_call;
    std::unique_lock lock(mutex_);
    if (part.has_result()) {
      const auto found = calls_.find(call.id);
      if (found != calls_.end() && found->second.get() == &call) {
        ended = std::move(call.pool_call);
        ended_call = std::move(found->second);
        calls_.erase(found);
      }
    }
    if (!end_) {
      part.set_call(call.id);
      Append(std::move(part));
    }
  }

  void FlushGathered() {
    std::unique_lock lock(mutex_);
    Flush(lock);
  }

  void Append(v1::ResponsePart&& part) {
    std::size_t cut = 0;
    while (part.data().size() - cut > kLargestPart) {
      v1::ResponsePart piece;
      piece.set_call(part.call());
      if (part.has_head()) piece.set_allocated_head(part.release_head());
      piece.set_data(part.data().substr(cut, kLargestPart));
      cut += kLargestPart;
      AppendPiece(std::move(piece));
    }
    if (cut > 0) part.mutable_data()->erase(0, cut);
    AppendPiece(std::move(part));
  }

  void AppendPiece(v1::ResponsePart&& part) {
    if (outbox_.empty() || last_bytes_ >= kLargestMessage) {
      outbox_.push_back(std::move(spare_));
      last_bytes_ = 0;
    }
    last_bytes_ += part.data().size();
    ++outbox_parts_;
    *outbox_.back().add_parts() = std::move(part);
  }

  // Ends the stream once nothing is being written or read; what has not been written by then is dropped.
  void End(grpc::Status status) {
    if (!end_) end_ = std::move(status);
  }

  // Writes what has gathered, or ends the stream if it is to end. May release `lock`.
  void Flush(std::unique_lock<std::mutex>& lock) {
    if (writing_ || finished_) return;
    if ((reads_done_ || closing_) && calls_.empty() && outbox_.empty() && !capacity_changed_)
      End(grpc::Status::OK);
    if (end_) {
      // A read that is about to be started must not meet a stream that is gone.
      if (reading_ > 0) return;
      finished_ = true;
      const grpc::Status status = *end_;
      lock.unlock();
      Finish(status);
      return;
    }
    if (outbox_.empty() && !capacity_changed_) return;
    // The message that was written last is used again, with what it has allocated, unless it is large.
    if (reply_bytes_ > kKeepMessage) reply_ = v1::ServeReply();
    reply_.Clear();
    spare_.Swap(&reply_);
    reply_bytes_ = 0;
    if (!outbox_.empty()) {
      reply_.Swap(&outbox_.front());
      outbox_.pop_front();
      for (const v1::ResponsePart& part : reply_.parts()) reply_bytes_ += part.data().size();
      outbox_parts_ -= static_cast<std::size_t>(reply_.parts_size());
    }
    if (std::exchange(capacity_changed_, false)) *reply_.mutable_capacity() = capacity_;
    writing_ = true;  // keeps all others away until OnWriteDone
    lock.unlock();
    StartWrite(&reply_);
  }

  void CancelAll() {
    std::vector<std::shared_ptr<PoolCall>> running;
    std::unordered_map<std::uint64_t, std::shared_ptr<Call>> calls;
    {
      const std::lock_guard lock(mutex_);
      calls.swap(calls_);
      for (const auto& [id, call] : calls) {
        if (call->pool_call) running.push_back(std::move(call->pool_call));
      }
    }
    for (const auto& pool_call : running) pool_call->Cancel();
  }

  Replica& replica_;
  std::shared_ptr<ServeStream> self_;  // until OnDone
  v1::ServeRequest request_;           // being read, or handled

  std::mutex mutex_;
  // All below is guarded by mutex_, except reply_ while it is written.
  std::unordered_map<std::uint64_t, std::shared_ptr<Call>> calls_;
  std::deque<v1::ServeReply> outbox_;  // messages to write; the last one is still being filled
  std::size_t outbox_parts_ = 0;
  std::size_t last_bytes_ = 0;  // of data in the last message
  v1::ServeReply reply_;
  v1::ServeReply spare_;
  std::size_t reply_bytes_ = 0;
  v1::Capacity capacity_;
  bool capacity_changed_ = false;
  bool writing_ = false;
  int reading_ = 0;  // threads that handle a read, or are about to start one
  bool read_paused_ = false;
  bool reads_done_ = false;
  bool closing_ = false;
  std::optional<grpc::Status> end_;  // how the stream is to end
  bool finished_ = false;            // Finish() was called
};

}  // namespace

grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeReply>* MakeServeStream(Replica& replica) {
  const auto stream = std::make_shared<ServeStream>(replica);
  stream->Open();
  return stream.get();
}

}  // namespace mayfly::runtime
