// A ReplicaStream keeps one Serve stream to one replica open, and connects again for as long as it is not
// closed.
//
// It carries parts and knows nothing of calls: its owner fills batches and reads replies. One message is on
// its way at a time; whatever becomes ready meanwhile goes into the next, so that under load many calls share
// the cost of one. The stream counts as up from the replica's first reply (its capacity) on; before that
// nothing is filled. So a part is either handed to gRPC on a stream that was up, or was surely never sent.
//
// A replica that is just starting is tried again after 1 ms, then 2, 4 … up to a second. A stream that was up
// for less than a second goes on with the longer pause: a replica in a crash loop is no busy loop here. A
// replica that is stopped, or whose host is gone without a word, is found by keep-alive pings, one that accepts
// and stays silent by a watchdog of five seconds: OnBroken() then says kDeadlineExceeded.
//
// Thread-safe. Kick() may encode and write on the caller's thread; everything else happens on a
// DeliveryLoop's thread.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "gateway/delivery/delivery_loop.h"
#include "gateway/delivery/request_batch.h"
#include "mayfly/v1/runtime.pb.h"

namespace grpc {
class ChannelCredentials;
}

namespace mayfly::gateway {

class ReplicaStream {
 public:
  // Who uses the stream. No method is called while a lock of the stream's is held, but Fill(); none of
  // OnReply(), OnWritten() and OnBroken() runs at the same time as another for one stream.
  class Owner {
   public:
    virtual ~Owner() = default;
    // Adds what is ready to `batch`, about kBatchBytes at most. What was added counts as handed over. Called
    // on any thread, one call at a time, only while the stream is up. REQUIRES: must not call Kick() or
    // Close().
    virtual void Fill(RequestBatch& batch) = 0;
    // What was filled before the latest Fill() is written.
    virtual void OnWritten() = 0;
    // `first`: the stream has just come up. `reply` may be moved from.
    virtual void OnReply(v1::ServeReply& reply, bool first) = 0;
    // The stream has ended, or could not be opened. `graceful`: it was up and the replica ended it itself,
    // with an OK status, so that what it has not answered it has not taken. Another attempt follows unless
    // closed.
    virtual void OnBroken(const absl::Status& why, bool graceful) = 0;
    // The stream was closed and nothing of it is under way any more: the last call, made once.
    virtual void OnClosed() = 0;
  };

  static constexpr std::size_t kBatchBytes = 1 << 20;

  // `address` is a gRPC target ("unix:…", "ipv4:…"). `credentials` null: insecure; else the
  // replica's certificate must be for `server_name`. Does nothing before Start().
  static std::shared_ptr<ReplicaStream> Create(DeliveryLoop& loop, std::string address,
                                               std::shared_ptr<grpc::ChannelCredentials> credentials,
                                               std::string server_name);
  virtual ~ReplicaStream() = default;

  // Connects. The stream keeps `owner` alive until it has closed. The second call hands the stream, as it is, to another
  // owner: the one before hears OnClosed(), the new one OnReply() with the capacity that the replica told last, as its first,
  // if the stream is up. REQUIRES: called twice at most.
  virtual void Start(std::shared_ptr<Owner> owner) = 0;
  // The owner has something to send.
  virtual void Kick() = 0;
  // Waits until no message is being handed over, so that what Fill() gave before is in gRPC's hands.
  virtual void Barrier() = 0;
  // Breaks the stream, for good; the owner hears OnClosed() when nothing of it is left. Idempotent.
  virtual void Close() = 0;
};

}  // namespace mayfly::gateway
