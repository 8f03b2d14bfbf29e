#include "gateway/activation/function_activator.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "base/log.h"

namespace mayfly::gateway {
namespace {

using std::chrono::milliseconds;
using State = Invocation::State;

// What the runtime is given beyond the deadline to say itself that it stopped the invocation.
constexpr milliseconds kSlack{250};
// After this many attempts (about a quarter of a second) an endpoint is told to be unreachable.
constexpr std::uint32_t kFailuresUntilUnreachable = 8;

// The replica's own word, if it gave one.
std::string Reason(const v1::ResponsePart& part) {
  return part.result().problem().message().empty() ? "it gave no reason" : part.result().problem().message();
}

}  // namespace

FunctionActivator::FunctionActivator(ActivationContext& context, std::string name)
    : context_(context),
      name_(std::move(name)),
      life_(context.lives.fetch_add(1, std::memory_order_relaxed) + 1),
      random_(std::hash<std::string>()(name_) | 1) {}

FunctionActivator::~FunctionActivator() = default;

// --- from those who wait ---

void FunctionActivator::Begin(const InvocationRef& invocation, Departures* departures) {
  Afterwork after;
  {
    const std::lock_guard lock(mutex_);
    metrics_.Resolve(context_.metrics, name_);
    invocation->account = usage_.Of(context_.metrics, name_, invocation->trigger);
    context_.unfinished.fetch_add(1, std::memory_order_relaxed);
    if (!route_) {
      Finish(invocation, gone_, after);
    } else if (route_->has_unavailable()) {
      v1::ResponsePart part;
      part.mutable_result()->set_outcome(v1::OUTCOME_NOT_STARTED);
      *part.mutable_result()->mutable_problem() = route_->unavailable();
      Finish(invocation, std::move(part), after);
    } else if (Endpoint* const endpoint = held_.empty() ? Pick() : nullptr) {
      ++accepted_;
      metrics_.accepted->Increment();
      invocation->sequence = ++sequence_;
      context_.wheel.Arm(*invocation, invocation->deadline);
      Give(*endpoint, invocation, after);
      NoteDemand(after);
    } else if (held_.size() >= HoldLimit()) {
      metrics_.refused->Increment();
      Finish(
          invocation,
          EndingPart(v1::OUTCOME_NOT_STARTED, kReasonHoldQueueFull,
                     fmt::format("{} requests already wait for function {}, as many as may (holdLimit); try "
                                 "again later, or raise scaling.maxReplicas or concurrency",
                                 held_.size(), name_)),
          after);
    } else {
      ++accepted_;
      metrics_.accepted->Increment();
      invocation->sequence = ++sequence_;
      invocation->held_cold = !AnyUp();
      context_.wheel.Arm(*invocation, invocation->deadline);
      Hold(invocation);
      NoteDemand(after);
    }
  }
  after.Run(*this, departures);
}

void FunctionActivator::Write(const InvocationRef& invocation, std::string data, bool end) {
  Afterwork after;
  {
    const std::lock_guard lock(mutex_);
    if (invocation->state == State::kDone) return;
    invocation->permitted = false;
    if (invocation->chunk_due) {
      invocation->chunk += data;
    } else {
      invocation->chunk = std::move(data);
    }
    invocation->chunk_due = true;
    invocation->chunk_end = end;
    if (invocation->state == State::kHanded) {
      invocation->endpoint->SendMore(*invocation);
      after.Kick(invocation->endpoint->shared_from_this());
    }
  }
  after.Run(*this);
}

void FunctionActivator::Grant(const InvocationRef& invocation, std::uint64_t bytes) {
  Afterwork after;
  {
    const std::lock_guard lock(mutex_);
    if (invocation->state == State::kDone) return;
    invocation->granted += bytes;
    if (invocation->state == State::kHanded) {
      invocation->grant_due += bytes;
      invocation->endpoint->SendMore(*invocation);
      after.Kick(invocation->endpoint->shared_from_this());
    }
  }
  after.Run(*this);
}

void FunctionActivator::Cancel(const InvocationRef& invocation, bool detach) {
  Afterwork after;
  {
    const std::lock_guard lock(mutex_);
    if (detach) invocation->sink.reset();
    invocation->cancelled = true;
    switch (invocation->state) {
      case State::kDone:
        return;
      case State::kHanded:
        invocation->endpoint->Cancel(*invocation, detach);
        after.Kick(invocation->endpoint->shared_from_this());
        if (detach) Settle(*invocation);
        break;
      case State::kAssigned:
        GiveBack(*invocation, after);
        [[fallthrough]];
      case State::kHeld:
        Finish(invocation, EndingPart(v1::OUTCOME_CANCELLED, "Cancelled", "the caller cancelled the request"),
               after);
        Pump(after);
        break;
    }
    NoteDemand(after);
  }
  after.Run(*this);
}

std::string FunctionActivator::WhatIsKnown() const {
  if (!last_refusal_.empty()) return "; the last that one said: " + last_refusal_;
  if (route_ && !route_->starting().empty()) return "; " + route_->starting();
  return "";
}

void FunctionActivator::GiveBack(Invocation& invocation, Afterwork& after) {
  Endpoint& endpoint = *invocation.endpoint;
  endpoint.Unassign(invocation);
  --busy_;
  UpdateAvailability(endpoint);
  CloseIfIdle(endpoint, after);
}

// --- from the wheel ---

void FunctionActivator::OnDeadline(const InvocationRef& invocation) {
  Afterwork after;
  {
    const std::lock_guard lock(mutex_);
    switch (invocation->state) {
      case State::kDone:
        return;
      case State::kAssigned:
        GiveBack(*invocation, after);
        [[fallthrough]];
      case State::kHeld:
        Finish(invocation,
               EndingPart(v1::OUTCOME_NOT_STARTED, kReasonNotReadyInTime,
                          fmt::format("no replica of function {} {} within the request's timeout{}", name_,
                                      AnyUp() ? "had a free slot" : "was ready", WhatIsKnown())),
               after);
        Pump(after);
        break;
      case State::kHanded: {
        const base::MonotonicTime last = invocation->deadline + kSlack;
        if (Now() < last) {
          context_.wheel.Arm(*invocation, last);
          return;
        }
        Endpoint& endpoint = *invocation->endpoint;
        metrics_.timed_out->Increment();
        endpoint.Cancel(*invocation, /*forget=*/true);
        after.Kick(endpoint.shared_from_this());
        if (endpoint.heard < invocation->deadline) TakeForSilent(endpoint);
        Finish(invocation,
               EndingPart(v1::OUTCOME_TIMED_OUT, "TimedOut",
                          fmt::format("replica {} did not end the invocation within its timeout",
                                      endpoint.replica())),
               after);
        break;
      }
    }
    NoteDemand(after);
  }
  after.Run(*this);
}

void FunctionActivator::TakeForSilent(Endpoint& endpoint) {
  if (std::exchange(endpoint.silent, true)) return;
  UpdateAvailability(endpoint);
  context_.demand.SetUnreachable(endpoint.replica(), true);
  base::log::Warn(
      "replica let a deadline pass without a word; it gets no invocations until it says something",
      {{"function", name_}, {"replica", endpoint.replica()}});
}

void FunctionActivator::OnUnblock(Endpoint& endpoint) {
  Afterwork after;
  {
    const std::lock_guard lock(mutex_);
    endpoint.blocked = false;
    UpdateAvailability(endpoint);
    Pump(after);
    NoteDemand(after);
  }
  after.Run(*this);
}

// --- from an endpoint's stream ---

void FunctionActivator::OnReply(Endpoint& endpoint, v1::ServeReply& reply, bool first) {
  Afterwork after;
  {
    const std::lock_guard lock(mutex_);
    endpoint.heard = Now();
    const bool was_silent = std::exchange(endpoint.silent, false);
    if (first || was_silent) {
      endpoint.up = true;
      if (std::exchange(endpoint.failures, 0) >= kFailuresUntilUnreachable || was_silent) {
        context_.demand.SetUnreachable(endpoint.replica(), false);
        base::log::Info("replica is reachable again", {{"function", name_}, {"replica", endpoint.replica()}});
      }
    }
    if (reply.has_capacity()) {
      endpoint.TakeCapacity(reply.capacity());
      Unblock(endpoint);
    }
    for (v1::ResponsePart& part : *reply.mutable_parts()) TakePart(endpoint, part, after);
    UpdateAvailability(endpoint);
    Pump(after);
    CloseIfIdle(endpoint, after);
    NoteDemand(after);
  }
  after.Run(*this);
}

void FunctionActivator::TakePart(Endpoint& endpoint, v1::ResponsePart& part, Afterwork& after) {
  const std::uint64_t call = part.call();
  const auto [known, invocation, account] = endpoint.Find(call);
  if (!known) return;
  part.clear_call();
  if (!part.has_result()) {
    if (!invocation) return;
    invocation->head_seen = invocation->head_seen || part.has_head() || !part.data().empty();
    after.Emit(invocation, part);
    return;
  }
  const bool not_started = part.result().outcome() == v1::OUTCOME_NOT_STARTED;
  endpoint.Free(call);
  --busy_;
  usage_.Charge(account, part.result());
  if (context_.usage != nullptr && !not_started && !std::exchange(charge_told_, true)) after.MarkCharged();
  if (not_started) {
    Block(endpoint);
    last_refusal_ = Reason(part);
  } else {
    endpoint.refusals = 0;
    last_refusal_.clear();
  }
  if (!invocation) return;
  if (not_started && !invocation->head_seen) {
    PutBack(invocation, after, Reason(part));
    return;
  }
  Settle(*invocation);
  after.Emit(invocation, part);
}

void FunctionActivator::OnWritten(Endpoint& endpoint) {
  Afterwork after;
  {
    const std::lock_guard lock(mutex_);
    for (const InvocationRef& invocation : endpoint.TakeWritten()) {
      invocation->permitted = true;
      after.EmitWritable(invocation);
    }
  }
  after.Run(*this);
}

void FunctionActivator::OnBroken(Endpoint& endpoint, const absl::Status& why, bool graceful) {
  Afterwork after;
  {
    const std::lock_guard lock(mutex_);
    const bool was_up = std::exchange(endpoint.up, false);
    busy_ -= endpoint.busy();
    std::vector<InvocationRef> calls = endpoint.FreeAll();
    Unblock(endpoint);
    UpdateAvailability(endpoint);
    // One that takes connections and says nothing has had its chance.
    const std::uint32_t before = endpoint.failures;
    endpoint.failures =
        absl::IsDeadlineExceeded(why) ? std::max(before, kFailuresUntilUnreachable - 1) + 1 : before + 1;
    if (endpoint.closing) {
      // OnClosed() follows.
    } else if (before < kFailuresUntilUnreachable && endpoint.failures >= kFailuresUntilUnreachable) {
      context_.demand.SetUnreachable(endpoint.replica(), true);
      base::log::Warn("replica cannot be reached; it gets no invocations until it can",
                      {{"function", name_}, {"replica", endpoint.replica()}, {"why", why.ToString()}});
    } else if (was_up) {
      base::log::Warn("stream to replica has ended",
                      {{"function", name_}, {"replica", endpoint.replica()}, {"why", why.ToString()}});
    }
    for (const InvocationRef& invocation : calls) {
      const bool handed = invocation->state == State::kHanded;
      if (!handed || (graceful && !invocation->head_seen)) {
        PutBack(invocation, after, "it ended its stream");
        continue;
      }
      metrics_.replica_lost->Increment();
      Finish(invocation,
             EndingPart(
                 v1::OUTCOME_CRASHED, kReasonReplicaLost,
                 fmt::format("replica {} was lost while it had the invocation, which may have started and "
                             "so was not sent again ({})",
                             endpoint.replica(), std::string(why.message()))),
             after);
    }
    CloseIfIdle(endpoint, after);
    Pump(after);
    NoteDemand(after);
  }
  after.Run(*this);
}

void FunctionActivator::OnClosed(Endpoint& endpoint) {
  const std::lock_guard lock(mutex_);
  context_.demand.SetUnreachable(endpoint.replica(), false);
  std::erase_if(endpoints_, [&](const auto& each) { return each.get() == &endpoint; });
}

// --- demand ---

v1::Demand FunctionActivator::ReadDemand() {
  v1::Demand demand;
  demand.set_function(name_);
  const std::lock_guard lock(mutex_);
  demand_changed_ = false;
  demand.set_busy(busy_);
  demand.set_held(static_cast<std::uint32_t>(held_.size()));
  demand.set_accepted_total(accepted_);
  if (route_) usage_.FillIn(demand);  // of one that is gone, nobody asks any more
  demand.set_usage_life(life_);
  told_zero_ = busy_ == 0 && held_.empty();
  if (metrics_.held != nullptr) {
    metrics_.held->Set(static_cast<double>(held_.size()));
    metrics_.inflight->Set(busy_);
  }
  return demand;
}

std::vector<std::pair<std::string, UsageSums>> FunctionActivator::TakeCharges() {
  const std::lock_guard lock(mutex_);
  charge_told_ = false;
  return usage_.TakeCharges();
}

void FunctionActivator::NoteDemand(Afterwork& after) {
  const bool zero = busy_ == 0 && held_.empty();
  if (told_zero_ && !zero) {
    told_zero_ = false;
    demand_changed_ = true;
    after.PushDemand();
  } else if (!demand_changed_) {
    demand_changed_ = true;
    after.MarkDemandChanged();
  }
}

}  // namespace mayfly::gateway
