// What becomes of the events of a TriggerDelivery, and how their origins are told.
#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/utf8.h"
#include "gateway/delivery/destinations.h"
#include "gateway/delivery/trigger_delivery.h"
#include "proto/problem.h"

namespace mayfly::gateway {
namespace {

constexpr std::chrono::seconds kTryAgain{1};
// As many as spec.retry.maxAttempts can be, so that the history tells how many failures there were.
constexpr int kMostHistory = 110;
constexpr int kKeptFirst = 10;
constexpr std::size_t kMostMessage = 512;
// How many deliveries may end with a lost replica, beyond maxAttempts, before the event is taken for the reason.
constexpr std::uint32_t kMostLost = 10;

}  // namespace

void TriggerDelivery::Settle(const std::vector<EventToken>& tokens, Settled how, const absl::Status& why) {
  if (lost_) how = Settled::kReleased;
  for (const EventToken token : tokens) settlements_.push_back({token, how, why});
  if (how == Settled::kReleased) state_.released++;
  if (how == Settled::kDeadLettered) {
    state_.parked++;
  } else {
    state_.settled++;
  }
  state_.pending--;
  Touch();
}

void TriggerDelivery::Done(PendingEvent& event, const Answer& answer, std::size_t batched) {
  const base::MonotonicTime now = context_.clock.Now();
  const std::unique_ptr<PendingEvent> removed = queue_.Remove(event, now);
  removed->attempts++;
  std::vector<NewEvent> next;
  if (route_ != nullptr) {
    // Whoever asks for the result of an asynchronous invocation gets any answer; going on from it needs a good one.
    const std::uint32_t status = answer.head.status();
    next = status < 400
               ? OnSuccess(*route_, key(), *removed, answer, batched, context_.WallMs())
               : OnFailure(*route_, key(), *removed,
                           v1::MakeProblem("function", absl::StrCat("Status", status),
                                           absl::StrCat("the handler answered with status ", status)),
                           context_.WallMs());
  }
  if (!removed->stored()) {
    done_.Add(removed->dedup_key, now);
    if (next.empty()) {
      Settle(removed->tokens, Settled::kDone);
    } else {
      Park(std::make_shared<Parked>(Parked{std::move(next), nullptr, std::move(removed->tokens)}));
    }
    return;
  }
  EventOutcome outcome;
  outcome.next = std::move(next);
  outcome.record = removed->record;
  outcome.attempts = removed->attempts;
  outcome.history = removed->history;
  if (removed->keep_result) {
    v1::StoredResult& result = outcome.result.emplace();
    *result.mutable_head() = answer.head;
    result.set_body(answer.body);
    result.set_cut(answer.cut);
    *result.mutable_result() = answer.result;
  }
  FinishStored(std::move(outcome));
}

bool TriggerDelivery::TooOld(const PendingEvent& event, base::MonotonicTime now) const {
  if (retry_.max_age_ms() == 0) return false;
  const std::chrono::milliseconds most(retry_.max_age_ms());
  // A stored one may be older than this process, by the wall clock; nothing is given up because that stepped back.
  const std::chrono::milliseconds stored(event.stored() ? context_.WallMs() - event.accepted_ms : 0);
  return now - event.accepted > most || stored > most;
}

void TriggerDelivery::AddAttempt(PendingEvent& event, const v1::Problem& problem,
                                 const std::string& invocation_id) {
  auto& attempts = *event.history.mutable_attempts();
  if (attempts.size() >= kMostHistory) attempts.DeleteSubrange(kKeptFirst, 1);
  v1::Attempt& attempt = *attempts.Add();
  attempt.set_at_ms(context_.WallMs());
  attempt.set_attempt(event.attempts);
  attempt.set_invocation_id(invocation_id);
  *attempt.mutable_problem() = problem;
  if (attempt.problem().message().size() > kMostMessage)
    attempt.mutable_problem()->mutable_message()->resize(kMostMessage);
}

void TriggerDelivery::Failed(PendingEvent& event, const v1::Problem& problem, bool counts) {
  const base::MonotonicTime now = context_.clock.Now();
  if (counts) event.failures++;
  const std::uint32_t most = retry_.max_attempts();
  if (event.failures >= most || event.attempts >= most + kMostLost || TooOld(event, now)) {
    Kill(event, problem);
    return;
  }
  if (!event.stored() && (retiring_ || event.revoked)) {
    Release(event);
    return;
  }
  state_.retries++;
  const std::chrono::milliseconds delay =
      RetryDelay(retry_, std::max(1u, event.failures), context_.NextRandom());
  if (!event.stored()) {
    queue_.PutBack(event, now + delay, now);
    return;
  }
  EventOutcome outcome;
  outcome.record = event.record;
  outcome.kind = EventOutcome::Kind::kRetry;
  outcome.delay = delay;
  outcome.attempts = event.attempts;
  outcome.history = event.history;
  queue_.Remove(event, now);
  FinishStored(std::move(outcome));
}

void TriggerDelivery::NotStarted(PendingEvent& event) {
  if (retiring_ || event.revoked) {
    Release(event);
    return;
  }
  const base::MonotonicTime now = context_.clock.Now();
  queue_.PutBack(event, now, now);
}

void TriggerDelivery::Release(PendingEvent& event) {
  const std::unique_ptr<PendingEvent> removed = queue_.Remove(event, context_.clock.Now());
  if (!removed->stored()) {
    Settle(removed->tokens, Settled::kReleased);
    return;
  }
  EventOutcome outcome;
  outcome.record = removed->record;
  outcome.kind = EventOutcome::Kind::kRelease;
  FinishStored(std::move(outcome));
}

void TriggerDelivery::Kill(PendingEvent& event, v1::Problem problem) {
  base::log::Warn("event given up", {{"function", key().function},
                                     {"trigger", key().trigger},
                                     {"event", event.event.id()},
                                     {"attempts", event.attempts},
                                     {"reason", problem.reason()},
                                     {"message", problem.message()}});
  const std::unique_ptr<PendingEvent> removed = queue_.Remove(event, context_.clock.Now());
  std::vector<NewEvent> next;
  if (route_ != nullptr) next = OnFailure(*route_, key(), *removed, problem, context_.WallMs());
  if (removed->stored()) {
    EventOutcome outcome;
    outcome.next = std::move(next);
    outcome.record = removed->record;
    outcome.kind = EventOutcome::Kind::kDeadLetter;
    outcome.attempts = removed->attempts;
    outcome.history = std::move(removed->history);
    outcome.problem = std::move(problem);
    FinishStored(std::move(outcome));
    return;
  }
  auto letter = std::make_shared<DeadLetter>();
  letter->record = NewRecordId(context_.WallMs());
  letter->trigger = key();
  letter->event = std::move(removed->event);
  letter->body = std::move(removed->body);
  letter->lane = std::move(removed->lane);
  letter->accepted_ms = removed->accepted_ms;
  letter->attempts = removed->attempts;
  letter->history = std::move(removed->history);
  letter->problem = std::move(problem);
  Park(std::make_shared<Parked>(Parked{std::move(next), std::move(letter), std::move(removed->tokens)}));
}

void TriggerDelivery::Park(std::shared_ptr<Parked> parked) {
  if (context_.store == nullptr) {
    if (parked->letter == nullptr) {
      base::log::Error("a result goes nowhere: this gateway keeps no events, which destinations need",
                       {{"function", key().function}, {"trigger", key().trigger}});
      Settle(parked->tokens, Settled::kDone);
      return;
    }
    // Nowhere to keep it: it stays at its source, and stays unsettled there.
    unparked_.push_back(std::move(parked));
    park_again_at_ = context_.clock.Now() + kTryAgain;
    return;
  }
  const std::uint64_t number = next_parking_++;
  parking_[number] = parked->tokens;
  ParkRest(number, std::move(parked));
}

void TriggerDelivery::ParkRest(std::uint64_t number, std::shared_ptr<Parked> parked) {
  const auto stored = [inbox = context_.inbox, owner = weak_from_this(), number,
                       parked](const absl::Status& status) {
    inbox->Post([owner, number, parked, status] {
      if (const auto trigger = owner.lock()) trigger->OnParked(number, parked, status);
    });
  };
  if (!parked->next.empty()) {
    // Its id is the same whenever it is made again, so that it is there once.
    context_.store->Accept(parked->next.back(),
                           [stored](const absl::StatusOr<Accepted>& accepted) { stored(accepted.status()); });
  } else if (parked->letter != nullptr) {
    context_.store->Park(*parked->letter, stored);
  }
}

void TriggerDelivery::OnParked(std::uint64_t number, const std::shared_ptr<Parked>& parked,
                               const absl::Status& status) {
  if (!parking_.contains(number)) return;
  if (!status.ok()) {
    const auto parking = parking_.extract(number);
    if (retiring_) {
      Settle(parking.mapped(), Settled::kReleased, status);
      return;
    }
    unparked_.push_back(parked);
    park_again_at_ = context_.clock.Now() + kTryAgain;
    Touch();
    return;
  }
  const bool was_letter = parked->next.empty();
  if (!was_letter) {
    const TriggerKey to = parked->next.back().trigger;
    parked->next.pop_back();
    context_.on_due(to);
  }
  if (!was_letter && (!parked->next.empty() || parked->letter != nullptr)) {
    ParkRest(number, parked);
    return;
  }
  const auto parking = parking_.extract(number);
  Settle(parking.mapped(), parked->letter != nullptr ? Settled::kDeadLettered : Settled::kDone);
}

void TriggerDelivery::ParkAgain(base::MonotonicTime now) {
  if (!park_again_at_ || now < *park_again_at_) return;
  park_again_at_.reset();
  for (std::shared_ptr<Parked>& parked : std::exchange(unparked_, {})) Park(std::move(parked));
}

void TriggerDelivery::FinishStored(EventOutcome outcome) {
  outcomes_.push_back(std::move(outcome));
  ++finishing_;
  Touch();
}

void TriggerDelivery::SendOutcomes(std::vector<EventOutcome> outcomes) {
  if (outcomes.empty()) return;
  // What adds nothing is taken even by a store that is full, and does not wait for what does.
  const auto adds = [](const EventOutcome& outcome) { return !outcome.next.empty(); };
  if (std::any_of(outcomes.begin(), outcomes.end(), adds) &&
      !std::all_of(outcomes.begin(), outcomes.end(), adds)) {
    std::vector<EventOutcome> adding;
    std::vector<EventOutcome> others;
    for (EventOutcome& outcome : outcomes) (adds(outcome) ? adding : others).push_back(std::move(outcome));
    SendOutcomes(std::move(adding));
    outcomes = std::move(others);
  }
  auto sent = std::make_shared<std::vector<EventOutcome>>(outcomes);
  context_.store->Finish(std::move(outcomes), [inbox = context_.inbox, owner = weak_from_this(),
                                               sent](const absl::Status& status) {
    inbox->Post([owner, sent, status] {
      const auto trigger = owner.lock();
      if (trigger == nullptr) return;
      const base::MonotonicTime now = trigger->context_.clock.Now();
      trigger->Touch();
      if (!status.ok()) {
        // They are leased to us as long as nobody knows better.
        for (EventOutcome& outcome : *sent) trigger->failed_outcomes_.push_back(std::move(outcome));
        trigger->send_again_at_ = now + kTryAgain;
        return;
      }
      trigger->finishing_ -= sent->size();
      std::chrono::milliseconds soonest = std::chrono::milliseconds::max();
      for (const EventOutcome& outcome : *sent) {
        const bool again =
            outcome.kind == EventOutcome::Kind::kRetry || outcome.kind == EventOutcome::Kind::kRelease;
        // What stood behind it in its lane may come now.
        soonest = std::min(soonest, again ? outcome.delay : std::chrono::milliseconds(0));
      }
      const base::MonotonicTime at = now + soonest + std::chrono::milliseconds(soonest.count() > 0);
      if (!trigger->lease_at_ || at < *trigger->lease_at_) trigger->lease_at_ = at;
    });
  });
}

void TriggerDelivery::Flush() {
  if (!settlements_.empty() && source_ != nullptr) source_->Settle(std::exchange(settlements_, {}));
  SendOutcomes(std::exchange(outcomes_, {}));
}

void TriggerDelivery::Retire(bool deleted) {
  if (std::exchange(retiring_, true)) return;
  if (source_ != nullptr && deleted) source_->Discard();
  if (source_ != nullptr) source_->Quiesce();
  for (PendingEvent* event : queue_.All()) {
    if (!event->running) Release(*event);
  }
  for (const auto& parked : std::exchange(unparked_, {})) Settle(parked->tokens, Settled::kReleased);
  park_again_at_.reset();
  Touch();
}

void TriggerDelivery::Abandon() {
  for (auto& [number, delivery] : deliveries_) {
    slots_->in_flight--;
    if (delivery.dispatched != nullptr) delivery.dispatched->Cancel();
    for (const EventQueue::Number of : delivery.events) {
      if (PendingEvent* const event = queue_.Find(of)) Release(*event);
    }
  }
  deliveries_.clear();
  Touch();
}

void TriggerDelivery::Lose() {
  lost_ = true;
  for (Settlement& settlement : settlements_) settlement.how = Settled::kReleased;
  Abandon();
}

bool TriggerDelivery::idle() const {
  return deliveries_.empty() && queue_.size() == 0 && finishing_ == 0 && parking_.empty() &&
         unparked_.empty() && storing_ == 0 && settlements_.empty() && !leasing_;
}

std::unique_ptr<EventSource> TriggerDelivery::TakeSource() { return std::move(source_); }

std::optional<v1::TriggerReport> TriggerDelivery::Report(std::uint64_t stored) const {
  const bool wants_source = trigger_.source_case() != v1::EventTrigger::SOURCE_NOT_SET;
  if (wants_source && !told_health_) return std::nullopt;
  v1::TriggerReport report;
  report.set_function(key().function);
  report.set_trigger(key().trigger);
  const auto say = [&](const std::string& words) {
    report.set_problem(std::string(base::CutUtf8(base::CleanUtf8(words), kMostMessage)));
  };
  if (wants_source) say(std::string(state_.health.message()));
  if (!state_.health.ok() && report.problem().empty()) say(state_.health.ToString());
  if (source_ != nullptr) report.set_epoch(trigger_.epoch());
  report.set_cursor(cursor_);
  const bool durable = source_ != nullptr && traits_.durable;
  report.set_unsettled(durable ? state_.pending : queue_.size());
  const Backlog::Kind kind = state_.backlog.kind;
  if (kind == Backlog::Kind::kError) {
    report.set_kind(v1::TriggerReport::BACKLOG_ERROR);
    if (report.problem().empty()) say(state_.backlog.error);
  } else if (durable && kind == Backlog::Kind::kUnknown) {
    report.set_kind(v1::TriggerReport::BACKLOG_UNKNOWN);
  } else {
    // Of a source that keeps nothing, what waits is here.
    std::uint64_t waiting = kind == Backlog::Kind::kValue ? state_.backlog.value : 0;
    if (!durable) waiting += more_due_ ? std::max<std::uint64_t>(stored, queue_.size() + 1) : queue_.size();
    report.set_kind(v1::TriggerReport::BACKLOG_VALUE);
    report.set_backlog(waiting);
  }
  return report;
}

TriggerState TriggerDelivery::state() const {
  TriggerState state = state_;
  state.in_memory = queue_.size();
  state.running = queue_.running();
  return state;
}

}  // namespace mayfly::gateway
