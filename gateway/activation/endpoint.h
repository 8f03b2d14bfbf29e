// An Endpoint is one replica of a function as this gateway sees it: its stream, its slots and the calls on
// it.
//
// A slot is taken when an invocation is assigned and given back when the replica has said the call's result,
// or when the stream is gone (the replica then cancels what ran on it). A call whose caller gave up or ran
// out of time keeps its slot until then: the replica may still be busy with it.
//
// Call ids are never used twice: the lower bits are the place in a table, the upper count that place's calls.
//
// Everything is guarded by the function's mutex, but what is const. The ReplicaStream::Owner methods take it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "gateway/activation/deadline_wheel.h"
#include "gateway/activation/invocation.h"
#include "gateway/delivery/departures.h"
#include "gateway/delivery/replica_stream.h"

namespace mayfly::gateway {

class FunctionActivator;

class Endpoint final : public ReplicaStream::Owner,
                       public DeadlineWheel::Timer,
                       public Departures::Gate,
                       public std::enable_shared_from_this<Endpoint> {
 public:
  Endpoint(std::shared_ptr<FunctionActivator> function, const v1::Endpoint& description,
           std::shared_ptr<ReplicaStream> stream);

  const std::string& replica() const { return replica_; }
  const std::string& address() const { return address_; }
  ReplicaStream& stream() { return *stream_; }

  // How many invocations it may be given now.
  std::uint32_t FreeSlots() const;
  std::uint32_t busy() const { return busy_; }

  // Gives `invocation` a slot and a call id; its start goes out with the next batch. REQUIRES: FreeSlots() >
  // 0.
  void Assign(const std::shared_ptr<Invocation>& invocation);
  // Takes back what Assign() gave. REQUIRES: `invocation` is kAssigned here.
  void Unassign(Invocation& invocation);
  // Takes back all that are kAssigned here, in order.
  std::vector<std::shared_ptr<Invocation>> UnassignAll();
  // There is more to send of `invocation`: a chunk, a grant. REQUIRES: it is here.
  void SendMore(const Invocation& invocation);
  // Tells the replica that nobody waits any more. The slot stays taken until the result is here. With
  // `forget`, nothing of the answer is given to the invocation any more. REQUIRES: `invocation` is kHanded
  // here.
  void Cancel(const Invocation& invocation, bool forget);

  // One call on this endpoint as an answer's part names it.
  struct Found {
    bool known = false;
    std::shared_ptr<Invocation> invocation;  // null if it was forgotten
    std::uint32_t account = 0;               // as the invocation has it
  };
  Found Find(std::uint64_t call) const;
  // Ends the call and gives its slot back.
  void Free(std::uint64_t call);
  // Ends every call; those that were not forgotten, in the order of their table.
  std::vector<std::shared_ptr<Invocation>> FreeAll();
  // Those that may be told to write on: what they had is written.
  std::vector<std::shared_ptr<Invocation>> TakeWritten();

  void Depart() override { stream_->Kick(); }

  // The route has it, with so many slots: 0 while its module is being loaded.
  void TakeRoute(const v1::Endpoint& description);
  // The replica says how much it takes.
  void TakeCapacity(const v1::Capacity& capacity);

  // ReplicaStream::Owner:
  void Fill(RequestBatch& batch) override;
  void OnWritten() override;
  void OnReply(v1::ServeReply& reply, bool first) override;
  void OnBroken(const absl::Status& why, bool graceful) override;
  void OnClosed() override;

  // Kept by the FunctionActivator.
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
  std::size_t available_at = kNowhere;  // where it stands among those with a free slot
  bool in_route = true;
  bool up = false;
  bool closing = false;
  bool blocked = false;        // refused an invocation; left alone for a moment
  bool silent = false;         // let a deadline pass without a word; gets nothing until it says one
  base::MonotonicTime heard;   // when it last said anything
  std::uint32_t refusals = 0;  // in a row
  std::uint32_t slots = 0;     // as the replica says, or the route until it does
  // The revision that the replica is getting, while the operator does not know yet whether it has it; "" after that. Until
  // then what it says of another revision is not for this function: its module may be refused, and the replica another's.
  std::string coming;
  std::uint32_t failures = 0;  // to connect, in a row

 protected:
  std::shared_ptr<DeadlineWheel::Timer> Keep() override { return shared_from_this(); }
  void OnDeadline() override;

 private:
  struct Slot {
    std::uint64_t call = 0;  // 0: free
    std::uint64_t generation = 0;
    std::shared_ptr<Invocation> invocation;
    std::uint32_t account = 0;
    bool queued = false;
    bool cancel_due = false;
    bool cancelled = false;
  };

  static constexpr unsigned kIndexBits = 20;
  // A large body goes out in pieces of this size, between other calls' parts.
  static constexpr std::size_t kPieceBytes = 256 << 10;

  const Slot* Lookup(std::uint64_t call) const;
  Slot* Lookup(std::uint64_t call) {
    return const_cast<Slot*>(static_cast<const Endpoint*>(this)->Lookup(call));
  }
  void Queue(Slot& slot);
  void FillFrom(Slot& slot, base::MonotonicTime now, RequestBatch& batch);

  const std::shared_ptr<FunctionActivator> function_;
  const std::string replica_;
  const std::string address_;
  const std::shared_ptr<ReplicaStream> stream_;

  std::vector<Slot> table_;
  std::vector<std::uint32_t> free_;     // places in table_
  std::deque<std::uint64_t> outbox_;    // calls that have something to send; stale ids are skipped
  std::vector<std::uint64_t> writing_;  // calls whose sink waits until the batch on its way is written
  std::vector<std::uint64_t> written_;
  std::uint32_t busy_ = 0;
};

}  // namespace mayfly::gateway
