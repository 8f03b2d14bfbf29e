#include "gateway/activation/endpoint.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <mutex>
#include <utility>

#include "gateway/activation/function_activator.h"

namespace mayfly::gateway {

Endpoint::Endpoint(std::shared_ptr<FunctionActivator> function, const v1::Endpoint& description,
                   std::shared_ptr<ReplicaStream> stream)
    : slots(description.slots()),
      coming(description.slots() == 0 ? description.revision() : ""),
      function_(std::move(function)),
      replica_(description.replica()),
      address_(description.address()),
      stream_(std::move(stream)) {}

void Endpoint::TakeRoute(const v1::Endpoint& description) {
  if (coming.empty() || description.slots() == 0) return;
  coming.clear();
  slots = description.slots();
}

void Endpoint::TakeCapacity(const v1::Capacity& capacity) {
  if (!coming.empty() && capacity.slots() > 0 && !capacity.draining()) {
    if (capacity.revision() != coming) return;
    coming.clear();
  }
  slots = capacity.draining() ? 0 : capacity.slots();
}

std::uint32_t Endpoint::FreeSlots() const {
  if (!in_route || !up || blocked || silent || busy_ >= slots) return 0;
  return slots - busy_;
}

const Endpoint::Slot* Endpoint::Lookup(std::uint64_t call) const {
  const std::uint64_t index = call & ((1u << kIndexBits) - 1);
  if (call == 0 || index >= table_.size() || table_[index].call != call) return nullptr;
  return &table_[index];
}

void Endpoint::Queue(Slot& slot) {
  if (slot.queued) return;
  slot.queued = true;
  outbox_.push_back(slot.call);
}

void Endpoint::Assign(const std::shared_ptr<Invocation>& invocation) {
  if (free_.empty()) {
    assert(table_.size() < (1u << kIndexBits));
    free_.push_back(static_cast<std::uint32_t>(table_.size()));
    table_.emplace_back();
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = table_[index];
  slot.call = ++slot.generation << kIndexBits | index;
  slot.invocation = invocation;
  slot.account = invocation->account;
  ++busy_;
  invocation->state = Invocation::State::kAssigned;
  invocation->endpoint = this;
  invocation->call = slot.call;
  Queue(slot);
}

void Endpoint::Unassign(Invocation& invocation) {
  Free(invocation.call);
  invocation.state = Invocation::State::kHeld;
  invocation.endpoint = nullptr;
}

std::vector<std::shared_ptr<Invocation>> Endpoint::UnassignAll() {
  std::vector<std::shared_ptr<Invocation>> all;
  for (Slot& slot : table_) {
    if (!slot.invocation || slot.invocation->state != Invocation::State::kAssigned) continue;
    all.push_back(slot.invocation);
    Unassign(*all.back());
  }
  return all;
}

void Endpoint::SendMore(const Invocation& invocation) {
  if (Slot* const slot = Lookup(invocation.call)) Queue(*slot);
}

void Endpoint::Cancel(const Invocation& invocation, bool forget) {
  Slot* const slot = Lookup(invocation.call);
  if (slot == nullptr) return;
  if (forget) slot->invocation.reset();
  if (slot->cancelled) return;
  slot->cancelled = true;
  slot->cancel_due = true;
  Queue(*slot);
}

Endpoint::Found Endpoint::Find(std::uint64_t call) const {
  const Slot* const slot = Lookup(call);
  if (slot == nullptr) return {};
  return {true, slot->invocation, slot->account};
}

void Endpoint::Free(std::uint64_t call) {
  Slot* const slot = Lookup(call);
  if (slot == nullptr) return;
  slot->call = 0;
  slot->invocation.reset();
  slot->queued = slot->cancel_due = slot->cancelled = false;
  free_.push_back(static_cast<std::uint32_t>(slot - table_.data()));
  --busy_;
}

std::vector<std::shared_ptr<Invocation>> Endpoint::FreeAll() {
  std::vector<std::shared_ptr<Invocation>> all;
  for (Slot& slot : table_) {
    if (slot.call == 0) continue;
    if (slot.invocation) all.push_back(slot.invocation);
    Free(slot.call);
  }
  outbox_.clear();
  writing_.clear();
  written_.clear();
  return all;
}

void Endpoint::Fill(RequestBatch& batch) {
  const std::lock_guard lock(function_->mutex());
  // The batch before this one is written.
  written_.insert(written_.end(), writing_.begin(), writing_.end());
  writing_.clear();
  if (outbox_.empty() || !up) return;
  const base::MonotonicTime now = function_->Now();
  // Large bodies queue again behind the others, so that this takes one piece of each per round.
  while (!outbox_.empty() && batch.weight() < ReplicaStream::kBatchBytes) {
    const std::uint64_t call = outbox_.front();
    outbox_.pop_front();
    Slot* const slot = Lookup(call);
    if (slot == nullptr || !slot->queued) continue;
    slot->queued = false;
    FillFrom(*slot, now, batch);
  }
}

void Endpoint::FillFrom(Slot& slot, base::MonotonicTime now, RequestBatch& batch) {
  OutgoingPart part;
  part.call = slot.call;
  if (slot.cancelled) {
    if (!std::exchange(slot.cancel_due, false)) return;
    part.cancel = true;
    batch.Add(std::move(part));
    return;
  }
  if (!slot.invocation) return;
  Invocation& invocation = *slot.invocation;
  if (invocation.state == Invocation::State::kAssigned) {
    invocation.state = Invocation::State::kHanded;
    invocation.body_sent = 0;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(invocation.deadline - now).count();
    part.start = invocation.start;
    part.timeout_ms = static_cast<std::uint32_t>(std::max<std::int64_t>(left, 1));
    part.window = invocation.granted;
  } else {
    part.window = invocation.grant_due;
  }
  invocation.grant_due = 0;
  const bool fresh = !part.start.empty();
  bool sent_last = invocation.body_sent == invocation.body.size() && !fresh;
  if (sent_last && invocation.chunk_due) {
    // What was sent before is encoded and gone: this is a later batch.
    invocation.body = std::exchange(invocation.chunk, {});
    invocation.body_complete = invocation.chunk_end;
    invocation.chunk_due = false;
    invocation.streamed = true;
    invocation.body_sent = 0;
    sent_last = false;
  }
  if (!sent_last) {
    const std::size_t piece = std::min(invocation.body.size() - invocation.body_sent, kPieceBytes);
    part.data = std::string_view(invocation.body).substr(invocation.body_sent, piece);
    invocation.body_sent += piece;
    if (invocation.body_sent < invocation.body.size()) {
      Queue(slot);
    } else if (invocation.body_complete) {
      part.end = true;
    } else if (invocation.chunk_due) {
      Queue(slot);
    } else if (!invocation.permitted) {
      writing_.push_back(slot.call);
    }
  } else if (part.window == 0) {
    return;
  }
  if (!part.start.empty() || !part.data.empty()) part.owner = slot.invocation;
  batch.Add(std::move(part));
}

std::vector<std::shared_ptr<Invocation>> Endpoint::TakeWritten() {
  std::vector<std::shared_ptr<Invocation>> all;
  for (const std::uint64_t call : written_) {
    const Slot* const slot = Lookup(call);
    if (slot != nullptr && slot->invocation && !slot->cancelled) all.push_back(slot->invocation);
  }
  written_.clear();
  return all;
}

void Endpoint::OnWritten() { function_->OnWritten(*this); }

void Endpoint::OnReply(v1::ServeReply& reply, bool first) { function_->OnReply(*this, reply, first); }

void Endpoint::OnBroken(const absl::Status& why, bool graceful) { function_->OnBroken(*this, why, graceful); }

void Endpoint::OnClosed() { function_->OnClosed(*this); }

void Endpoint::OnDeadline() { function_->OnUnblock(*this); }

}  // namespace mayfly::gateway
