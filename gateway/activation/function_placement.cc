// Where a function's invocations wait and where they go: the half of FunctionActivator that answers to the
// route.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "gateway/activation/function_activator.h"
#include "gateway/delivery/replica_stream.h"
#include "tls/names.h"

namespace mayfly::gateway {
namespace {

using std::chrono::milliseconds;
using State = Invocation::State;

constexpr std::uint32_t kDefaultHoldLimit = 1000;
// How often an invocation is offered to replicas that do not start it.
constexpr std::uint32_t kMostRefusals = 16;

double Seconds(base::MonotonicTime::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// xorshift64: balance wants speed, not secrecy.
std::uint64_t Next(std::uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

}  // namespace

std::uint32_t FunctionActivator::HoldLimit() const {
  return route_->hold_limit() != 0 ? route_->hold_limit() : kDefaultHoldLimit;
}

bool FunctionActivator::AnyUp() const {
  return std::any_of(endpoints_.begin(), endpoints_.end(),
                     [](const auto& endpoint) { return endpoint->in_route && endpoint->up; });
}

// --- from the operator ---

void FunctionActivator::Apply(std::shared_ptr<const v1::FunctionRoute> route) {
  Afterwork after;
  {
    const std::lock_guard lock(mutex_);
    route_ = std::move(route);
    for (const auto& endpoint : endpoints_) endpoint->in_route = false;
    for (const v1::Endpoint& wanted : route_->endpoints()) {
      const auto same = std::find_if(endpoints_.begin(), endpoints_.end(), [&](const auto& each) {
        return !each->closing && each->replica() == wanted.replica() && each->address() == wanted.address();
      });
      if (same != endpoints_.end()) {
        (*same)->in_route = true;
        (*same)->TakeRoute(wanted);
        UpdateAvailability(**same);
        continue;
      }
      const std::string& key = route_->function();
      auto stream = context_.standby.Take(wanted.address());
      if (!stream) {
        stream = ReplicaStream::Create(context_.loop, wanted.address(), context_.credentials,
                                       tls::RuntimeName(key.substr(0, key.find('/'))));
      }
      auto endpoint = std::make_shared<Endpoint>(shared_from_this(), wanted, std::move(stream));
      endpoints_.push_back(endpoint);
      after.Start(std::move(endpoint));
    }
    for (const auto& endpoint : endpoints_) {
      if (!endpoint->in_route) Retire(*endpoint, after);
    }
    if (route_->has_unavailable()) {
      v1::ResponsePart part;
      part.mutable_result()->set_outcome(v1::OUTCOME_NOT_STARTED);
      *part.mutable_result()->mutable_problem() = route_->unavailable();
      EndHeld(part, after);
    }
    Pump(after);
    NoteDemand(after);
  }
  after.Run(*this);
}

void FunctionActivator::Remove(std::string_view reason, const std::string& message, bool abandon) {
  Afterwork after;
  {
    const std::lock_guard lock(mutex_);
    route_.reset();
    gone_ = EndingPart(v1::OUTCOME_NOT_STARTED, reason, message);
    for (const auto& endpoint : endpoints_) {
      endpoint->in_route = false;
      Retire(*endpoint, after);
      if (!abandon || endpoint->closing) continue;
      busy_ -= endpoint->busy();
      for (const InvocationRef& invocation : endpoint->FreeAll()) {
        Finish(invocation, EndingPart(v1::OUTCOME_CANCELLED, reason, message), after);
      }
      CloseIfIdle(*endpoint, after);
    }
    EndHeld(gone_, after);
    NoteDemand(after);
  }
  after.Run(*this);
}

void FunctionActivator::Retire(Endpoint& endpoint, Afterwork& after) {
  std::vector<InvocationRef> unsent = endpoint.UnassignAll();
  busy_ -= static_cast<std::uint32_t>(unsent.size());
  for (const InvocationRef& invocation : unsent) PutBack(invocation, after, "its replica left the route");
  UpdateAvailability(endpoint);
  after.Barrier(endpoint.shared_from_this());
  CloseIfIdle(endpoint, after);
}

void FunctionActivator::CloseIfIdle(Endpoint& endpoint, Afterwork& after) {
  if (endpoint.in_route || endpoint.closing || endpoint.busy() != 0) return;
  endpoint.closing = true;
  after.Close(endpoint.shared_from_this());
}

// --- the queue ---

void FunctionActivator::Hold(const InvocationRef& invocation) {
  auto at = held_.end();
  if (!held_.empty() && held_.back()->sequence > invocation->sequence) {
    // Put back: it belongs before all that came after it, which is nearly always everyone.
    at = std::find_if(held_.begin(), held_.end(),
                      [&](const auto& each) { return each->sequence > invocation->sequence; });
  }
  invocation->held_at = held_.insert(at, invocation);
  invocation->in_queue = true;
}

void FunctionActivator::Unhold(Invocation& invocation) {
  if (!std::exchange(invocation.in_queue, false)) return;
  held_.erase(invocation.held_at);
}

void FunctionActivator::EndHeld(const v1::ResponsePart& part, Afterwork& after) {
  while (!held_.empty()) {
    const InvocationRef invocation = held_.front();
    Finish(invocation, part, after);
  }
}

void FunctionActivator::PutBack(const InvocationRef& invocation, Afterwork& after, std::string_view why) {
  const bool handed = invocation->state == State::kHanded;
  invocation->state = State::kHeld;
  invocation->endpoint = nullptr;
  if (invocation->cancelled) {
    Finish(invocation, EndingPart(v1::OUTCOME_CANCELLED, "Cancelled", "the caller cancelled the request"),
           after);
  } else if (!route_) {
    Finish(invocation, gone_, after);
  } else if (handed && !invocation->CanBeSentAgain()) {
    Finish(invocation,
           EndingPart(v1::OUTCOME_NOT_STARTED, kReasonUnavailable,
                      fmt::format(
                          "a replica of function {} did not start the invocation ({}), and it cannot be sent "
                          "to another as part of its streamed body is not kept; send the request again",
                          name_, why)),
           after);
  } else if (handed && ++invocation->refusals >= kMostRefusals) {
    Finish(
        invocation,
        EndingPart(v1::OUTCOME_NOT_STARTED, kReasonUnavailable,
                   fmt::format("replicas of function {} did not start the invocation {} times; the last: {}",
                               name_, kMostRefusals, why)),
        after);
  } else if (Now() >= invocation->deadline) {
    Finish(invocation,
           EndingPart(v1::OUTCOME_NOT_STARTED, kReasonNotReadyInTime,
                      fmt::format("no replica of function {} started the invocation within its timeout ({})",
                                  name_, why)),
           after);
  } else {
    if (handed) metrics_.sent_again->Increment();
    Hold(invocation);
  }
}

// --- where it goes ---

void FunctionActivator::Pump(Afterwork& after) {
  while (!held_.empty()) {
    Endpoint* const endpoint = Pick();
    if (endpoint == nullptr) return;
    const InvocationRef invocation = held_.front();
    Unhold(*invocation);
    const double waited = Seconds(Now() - invocation->begun);
    metrics_.held_for->Observe(waited);
    if (std::exchange(invocation->held_cold, false)) metrics_.cold_wait->Observe(waited);
    Give(*endpoint, invocation, after);
  }
}

Endpoint* FunctionActivator::Pick() {
  const std::size_t count = available_.size();
  if (count == 0) return nullptr;
  if (count == 1) return available_.front();
  const std::size_t one = Next(random_) % count;
  // Another than the first.
  const std::size_t other = (one + 1 + Next(random_) % (count - 1)) % count;
  return available_[one]->FreeSlots() >= available_[other]->FreeSlots() ? available_[one] : available_[other];
}

void FunctionActivator::Give(Endpoint& endpoint, const InvocationRef& invocation, Afterwork& after) {
  endpoint.Assign(invocation);
  ++busy_;
  UpdateAvailability(endpoint);
  after.Kick(endpoint.shared_from_this());
}

void FunctionActivator::UpdateAvailability(Endpoint& endpoint) {
  const bool free = endpoint.FreeSlots() != 0;
  if (free == (endpoint.available_at != Endpoint::kNowhere)) return;
  if (free) {
    endpoint.available_at = available_.size();
    available_.push_back(&endpoint);
    return;
  }
  available_[endpoint.available_at] = available_.back();
  available_[endpoint.available_at]->available_at = endpoint.available_at;
  available_.pop_back();
  endpoint.available_at = Endpoint::kNowhere;
}

void FunctionActivator::Block(Endpoint& endpoint) {
  // Slots may be taken by other gateways, or the replica is about to say that it drains: look elsewhere
  // meanwhile.
  const milliseconds pause(1u << std::min(endpoint.refusals++, 7u));
  endpoint.blocked = true;
  context_.wheel.Arm(endpoint, Now() + pause);
}

void FunctionActivator::Unblock(Endpoint& endpoint) {
  if (!std::exchange(endpoint.blocked, false)) return;
  context_.wheel.Disarm(endpoint);
}

// --- the end ---

void FunctionActivator::Settle(Invocation& invocation) {
  Unhold(invocation);
  context_.wheel.Disarm(invocation);
  invocation.state = State::kDone;
  invocation.endpoint = nullptr;
  invocation.done.store(true, std::memory_order_release);
  context_.unfinished.fetch_sub(1, std::memory_order_relaxed);
}

void FunctionActivator::Finish(const InvocationRef& invocation, v1::ResponsePart part, Afterwork& after) {
  Settle(*invocation);
  after.Emit(invocation, std::make_unique<v1::ResponsePart>(std::move(part)));
}

}  // namespace mayfly::gateway
