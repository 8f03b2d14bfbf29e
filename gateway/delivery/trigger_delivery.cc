// How events come in and go out; trigger_outcomes.cc is what becomes of them.
#include "gateway/delivery/trigger_delivery.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/backoff.h"
#include "gateway/delivery/destinations.h"
#include "proto/problem.h"

namespace mayfly::gateway {
namespace {

constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLongestPause{5'000};
constexpr std::chrono::seconds kAskAgain{1};
constexpr std::size_t kMostLeased = 1'000;
constexpr std::size_t kMostLeasedBytes = std::size_t{8} << 20;
constexpr std::size_t kLeastTarget = 16;
// The answer is read to its end whatever its size, and what is not kept is thrown away.
constexpr std::uint64_t kAnswerWindow = std::uint64_t{1} << 40;
constexpr std::uint32_t kDefaultTimeoutMs = 60'000;

std::string LaneOf(const v1::EventTrigger& trigger, const v1::Event& event, std::string lane) {
  const std::string& by = trigger.order_by();
  if (by.empty()) return {};
  if (by == "lane") return lane;
  if (by == "subject") return event.subject();
  if (by == "source") return event.source();
  if (by == "type") return event.type();
  for (const v1::Pair& pair : event.attributes()) {
    if (pair.name() == by) return pair.value();
  }
  return {};
}

}  // namespace

// What the source speaks to, on whatever thread.
class TriggerDelivery::Sink final : public EventSink {
 public:
  Sink(TriggerDelivery& owner)
      : inbox_(owner.context_.inbox),
        owner_(owner.weak_from_this()),
        store_(owner.context_.store),
        key_(owner.key()) {}

  void Push(std::vector<SourceEvent> events) override {
    Post([events = std::make_shared<std::vector<SourceEvent>>(std::move(events))](TriggerDelivery& trigger) {
      trigger.OnPush(std::move(*events));
    });
  }
  void Revoke(std::vector<EventToken> tokens) override {
    Post([tokens = std::move(tokens)](TriggerDelivery& trigger) { trigger.OnRevoke(tokens); });
  }
  void SetBacklog(Backlog backlog) override {
    Post([backlog = std::move(backlog)](TriggerDelivery& trigger) {
      trigger.state_.backlog = backlog;
      trigger.Touch();
    });
  }
  void SetHealth(absl::Status health) override {
    Post([health = std::move(health)](TriggerDelivery& trigger) { trigger.SetHealth(health); });
  }
  void SaveCursor(std::string cursor) override {
    if (store_ != nullptr) return store_->SaveCursor(key_, std::move(cursor), [](const absl::Status&) {});
    // The operator keeps it for the trigger's next owner.
    Post([cursor = std::move(cursor)](TriggerDelivery& trigger) {
      trigger.cursor_ = cursor;
      trigger.Touch();
    });
  }
  void CountLost(std::size_t count) override {
    Post([count](TriggerDelivery& trigger) {
      trigger.state_.lost += count;
      trigger.Touch();
    });
  }

 private:
  void Post(std::function<void(TriggerDelivery&)> task) {
    inbox_->Post([owner = owner_, task = std::move(task)] {
      if (const auto trigger = owner.lock()) task(*trigger);
    });
  }

  const std::shared_ptr<EngineInbox> inbox_;
  const std::weak_ptr<TriggerDelivery> owner_;
  EventStore* const store_;
  const TriggerKey key_;
};

// Gathers one answer, on the dispatcher's threads.
class TriggerDelivery::Collector final : public AnswerSink {
 public:
  Collector(TriggerDelivery& owner, std::uint64_t delivery)
      : inbox_(owner.context_.inbox),
        owner_(owner.weak_from_this()),
        delivery_(delivery),
        most_(owner.context_.options.most_answer) {}

  void OnPart(v1::ResponsePart&& part) override {
    if (part.has_head()) answer_.head = std::move(*part.mutable_head());
    const std::size_t room = most_ - answer_.body.size();
    answer_.cut = answer_.cut || part.data().size() > room;
    answer_.body.append(part.data(), 0, room);
    if (!part.has_result()) return;
    answer_.result = std::move(*part.mutable_result());
    inbox_->Post([owner = owner_, id = delivery_, answer = std::make_shared<Answer>(std::move(answer_))] {
      if (const auto trigger = owner.lock()) trigger->OnAnswer(id, std::move(*answer));
    });
  }
  void OnWritable() override {}

 private:
  const std::shared_ptr<EngineInbox> inbox_;
  const std::weak_ptr<TriggerDelivery> owner_;
  const std::uint64_t delivery_;
  const std::size_t most_;
  Answer answer_;
};

TriggerDelivery::TriggerDelivery(EngineContext& context, TriggerKey key, std::shared_ptr<FunctionSlots> slots)
    : context_(context),
      slots_(std::move(slots)),
      done_(context.options.dedup_window, context.options.most_remembered) {
  state_.key = std::move(key);
  retry_.set_max_attempts(3);
  retry_.set_min_backoff_ms(1'000);
  retry_.set_max_backoff_ms(300'000);
}

TriggerDelivery::~TriggerDelivery() {
  context_.dirty.erase(this);
  slots_->waiting.erase(this);
}

std::function<void()> TriggerDelivery::Later(std::function<void(TriggerDelivery&)> task) {
  return [owner = weak_from_this(), task = std::move(task)] {
    if (const auto trigger = owner.lock()) task(*trigger);
  };
}

void TriggerDelivery::SetPolicy(const v1::EventTrigger& trigger, const v1::RetryPolicy& retry) {
  trigger_ = trigger;
  retry_ = trigger.has_retry() ? trigger.retry() : retry;
  if (retry_.max_attempts() == 0) retry_.set_max_attempts(3);
  Touch();
}

absl::Status TriggerDelivery::StartSource(std::unique_ptr<EventSource> source) {
  sink_ = std::make_shared<Sink>(*this);
  traits_ = source->traits();
  state_.has_source = true;
  state_.durable = traits_.durable;
  state_.health = absl::UnavailableError("the source has not connected yet");
  if (absl::Status status = source->Start(*sink_); !status.ok()) {
    state_.health = status;
    return status;
  }
  source_ = std::move(source);
  Touch();
  return absl::OkStatus();
}

BatchLimits TriggerDelivery::Limits() const {
  BatchLimits limits;
  limits.most = std::max(1u, trigger_.batch().max_events());
  if (trigger_.batch().max_bytes() > 0) limits.most_bytes = trigger_.batch().max_bytes();
  limits.window = std::chrono::milliseconds(trigger_.batch().window_ms());
  return limits;
}

std::size_t TriggerDelivery::Room() const {
  const std::size_t target =
      std::clamp(slots_->limit * Limits().most * 2, kLeastTarget, context_.options.most_pending);
  const std::size_t held = queue_.size() + finishing_ + parking_.size() + unparked_.size();
  if (queue_.bytes() >= context_.options.most_pending_bytes) return 0;
  return target > held ? target - held : 0;
}

void TriggerDelivery::OnPush(std::vector<SourceEvent> events) {
  granted_ -= std::min(granted_, events.size());
  for (SourceEvent& event : events) {
    // What only has to be stored is stored still: whoever sent it may send once.
    if (retiring_ && (traits_.durable || context_.store == nullptr)) {
      settlements_.push_back({event.token, Settled::kReleased, absl::OkStatus()});
    } else if (traits_.durable) {
      TakeDurable(std::move(event));
    } else {
      StoreFirst(std::move(event));
    }
  }
  Touch();
}

void TriggerDelivery::TakeDurable(SourceEvent event) {
  const base::MonotonicTime now = context_.clock.Now();
  const std::string key = DedupWindow::Key(event.event.source(), event.event.id());
  if (done_.Contains(key, now)) {
    state_.duplicates++;
    settlements_.push_back({event.token, Settled::kDone, absl::OkStatus()});
    return;
  }
  if (PendingEvent* const same = queue_.FindDuplicate(key); same != nullptr && !same->stored()) {
    // The source has lost patience, or its connection: both copies end as the first does.
    state_.duplicates++;
    same->tokens.push_back(event.token);
    same->revoked = false;
    return;
  }
  auto pending = std::make_unique<PendingEvent>();
  pending->tokens = {event.token};
  pending->lane = LaneOf(trigger_, event.event, std::move(event.lane));
  pending->event = std::move(event.event);
  pending->body = std::move(event.body);
  pending->dedup_key = key;
  pending->accepted_ms = context_.WallMs();
  pending->accepted = now;
  state_.accepted++;
  state_.pending++;
  queue_.Add(std::move(pending), now);
}

void TriggerDelivery::StoreFirst(SourceEvent event) {
  if (context_.store == nullptr) {
    settlements_.push_back({event.token, Settled::kReleased,
                            absl::FailedPreconditionError(
                                "this gateway has no event store, and the source does not keep its events")});
    return;
  }
  NewEvent stored;
  stored.record = NewRecordId(context_.WallMs());
  stored.trigger = key();
  stored.lane = LaneOf(trigger_, event.event, std::move(event.lane));
  stored.event = std::move(event.event);
  stored.body = std::move(event.body);
  stored.cursor = std::move(event.cursor);
  ++storing_;
  context_.store->Accept(std::move(stored), [inbox = context_.inbox, owner = weak_from_this(),
                                             token = event.token](const absl::StatusOr<Accepted>& accepted) {
    const absl::Status status = accepted.status();
    const bool duplicate = accepted.ok() && accepted->duplicate;
    inbox->Post([owner, token, status, duplicate] {
      const auto trigger = owner.lock();
      if (trigger == nullptr) return;
      --trigger->storing_;
      if (duplicate) trigger->state_.duplicates++;
      trigger->settlements_.push_back({token, status.ok() ? Settled::kStored : Settled::kReleased, status});
      trigger->OnDue();
    });
  });
}

void TriggerDelivery::OnRevoke(const std::vector<EventToken>& tokens) {
  const std::set<EventToken> revoked(tokens.begin(), tokens.end());
  for (PendingEvent* event : queue_.All()) {
    if (event->stored() || !revoked.contains(event->tokens.back())) continue;
    if (event->running) {
      event->revoked = true;
    } else {
      Release(*event);
    }
  }
  Touch();
}

void TriggerDelivery::OnDue() {
  lease_at_ = context_.clock.Now();
  Touch();
}

void TriggerDelivery::LeaseFromStore(base::MonotonicTime now) {
  if (context_.store == nullptr || leasing_ || !lease_at_ || now < *lease_at_ || !slots_->serves()) return;
  const std::size_t room = Room();
  if (room == 0) return;
  leasing_ = true;
  lease_at_.reset();
  context_.store->Lease(
      key(), std::min(room, kMostLeased), kMostLeasedBytes,
      [inbox = context_.inbox, owner = weak_from_this()](absl::StatusOr<LeaseBatch> batch) {
        inbox->Post([owner, batch = std::make_shared<absl::StatusOr<LeaseBatch>>(std::move(batch))] {
          if (const auto trigger = owner.lock()) trigger->OnLeased(std::move(*batch));
        });
      });
}

void TriggerDelivery::OnLeased(absl::StatusOr<LeaseBatch> batch) {
  leasing_ = false;
  Touch();
  const base::MonotonicTime now = context_.clock.Now();
  const auto ask = [&](base::MonotonicTime at) {
    if (!lease_at_ || at < *lease_at_) lease_at_ = at;
  };
  if (!batch.ok()) {
    ask(now + kAskAgain);
    return;
  }
  more_due_ = batch->next_due && batch->next_due->count() == 0;
  if (batch->next_due) ask(now + *batch->next_due + std::chrono::milliseconds(batch->next_due->count() > 0));
  for (LeasedEvent& leased : batch->events) {
    auto pending = std::make_unique<PendingEvent>();
    pending->record = std::move(leased.record);
    pending->event = std::move(leased.event);
    pending->body = std::move(leased.body);
    pending->lane = std::move(leased.lane);
    pending->accepted_ms = leased.accepted_ms;
    pending->accepted = now;
    pending->attempts = leased.attempts;
    pending->history = std::move(leased.history);
    pending->keep_result = leased.keep_result;
    for (const v1::Attempt& attempt : pending->history.attempts())
      pending->failures += attempt.problem().reason() == kReasonReplicaLost ? 0 : 1;
    pending->alone = pending->attempts > 0;
    PendingEvent& added = queue_.Add(std::move(pending), now);
    if (retiring_) Release(added);
  }
}

std::optional<base::MonotonicTime> TriggerDelivery::Pump(base::MonotonicTime now) {
  std::optional<base::MonotonicTime> next;
  const auto at = [&](base::MonotonicTime time) {
    if (!next || time < *next) next = time;
  };
  ParkAgain(now);
  if (send_again_at_ && now >= *send_again_at_) {
    send_again_at_.reset();
    SendOutcomes(std::exchange(failed_outcomes_, {}));
  }
  StartDeliveries(now);
  // Also while paused: the pause may end before a slot is free.
  if (slots_->in_flight >= slots_->limit && queue_.size() > queue_.running()) slots_->waiting.insert(this);
  if (!retiring_) {
    if (source_ != nullptr && traits_.durable) {
      const std::size_t room = Room();
      const std::size_t want = room - std::min(room, granted_);
      // Not one by one: a source asks its server once for many.
      if (want > 0 && (want >= (room + queue_.size()) / 4 || granted_ == 0)) {
        granted_ += want;
        source_->Grant(want);
      }
    }
    LeaseFromStore(now);
    if (lease_at_ && !leasing_ && slots_->serves() && Room() > 0) at(*lease_at_);
    const bool blocked = !slots_->serves() || slots_->in_flight >= slots_->limit ||
                         (trigger_.max_in_flight() > 0 && deliveries_.size() >= trigger_.max_in_flight());
    if (!blocked) {
      if (const auto change = queue_.NextChange(Limits(), now)) at(std::max(*change, paused_until_));
    }
  }
  if (source_ != nullptr && traits_.lease.count() > 0 && (state_.pending > 0 || !parking_.empty())) {
    if (now >= extend_at_) {
      extend_at_ = now + traits_.lease / 3;
      std::vector<EventToken> tokens;
      for (const PendingEvent* event : queue_.All())
        tokens.insert(tokens.end(), event->tokens.begin(), event->tokens.end());
      for (const auto& [number, parking] : parking_)
        tokens.insert(tokens.end(), parking.begin(), parking.end());
      for (const auto& parked : unparked_)
        tokens.insert(tokens.end(), parked->tokens.begin(), parked->tokens.end());
      if (!tokens.empty()) source_->Extend(tokens);
    }
    at(extend_at_);
  }
  if (park_again_at_) at(*park_again_at_);
  if (send_again_at_) at(*send_again_at_);
  return next;
}

void TriggerDelivery::StartDeliveries(base::MonotonicTime now) {
  const BatchLimits limits = Limits();
  if (GoesToUrl(key().trigger) && context_.to_urls == nullptr) return;
  while (!retiring_ && slots_->serves() && now >= paused_until_) {
    if (slots_->in_flight >= slots_->limit) return;
    if (trigger_.max_in_flight() > 0 && deliveries_.size() >= trigger_.max_in_flight()) return;
    std::vector<PendingEvent*> events = queue_.Take(limits, now);
    if (events.empty()) return;
    route_ = slots_->route;
    std::erase_if(events, [&](PendingEvent* event) {
      if (HopsOf(event->event) > kMostHops) {
        Kill(*event, v1::MakeProblem(
                         "gateway", "LoopDetected",
                         absl::StrCat("it is the result of more than ", kMostHops,
                                      " functions, one after the other: their destinations make a circle")));
        return true;
      }
      if (!TooOld(*event, now)) return false;
      Kill(*event, v1::MakeProblem("gateway", "TooOld",
                                   absl::StrCat("it was not delivered within ", retry_.max_age_ms() / 1'000,
                                                " s (spec.retry.maxAge)")));
      return true;
    });
    if (!events.empty()) Deliver(events, limits.most > 1, now);
  }
}

void TriggerDelivery::Deliver(const std::vector<PendingEvent*>& events, bool batch, base::MonotonicTime) {
  const std::uint64_t number = next_delivery_++;
  DispatchRequest request;
  request.route = slots_->route;
  request.trigger = key().trigger;
  request.start.set_invocation_id(NewRecordId(context_.WallMs()));
  MakeInvocation(events, batch, key().trigger, &request.start, &request.body);
  request.start.set_timeout_ms(slots_->route->timeout_ms() > 0 ? slots_->route->timeout_ms()
                                                               : kDefaultTimeoutMs);
  request.start.set_window(kAnswerWindow);
  Delivery& delivery = deliveries_[number];
  delivery.batch = batch;
  delivery.invocation_id = request.start.invocation_id();
  for (const PendingEvent* event : events) delivery.events.push_back(event->number);
  slots_->in_flight++;
  Dispatcher& to = GoesToUrl(key().trigger) ? *context_.to_urls : context_.dispatcher;
  delivery.dispatched = to.Begin(std::move(request), std::make_shared<Collector>(*this, number));
}

void TriggerDelivery::OnAnswer(std::uint64_t number, Answer answer) {
  const auto found = deliveries_.find(number);
  if (found == deliveries_.end()) return;
  const Delivery delivery = std::move(found->second);
  deliveries_.erase(found);
  slots_->in_flight--;
  for (TriggerDelivery* waiting : std::exchange(slots_->waiting, {})) waiting->Touch();
  Touch();
  const PendingEvent* const first = queue_.Find(delivery.events.front());
  const bool any_answer = delivery.events.size() == 1 && first != nullptr && first->keep_result;
  const std::vector<EventResult> results =
      ReadAnswer(answer, delivery.events.size(), delivery.batch, any_answer,
                 GoesToUrl(key().trigger) ? "the destination's server" : "the handler");
  const bool started = std::any_of(results.begin(), results.end(), [](const EventResult& result) {
    return result.kind != EventResult::Kind::kNotStarted;
  });
  if (started) {
    not_started_in_row_ = 0;
  } else {
    paused_until_ =
        context_.clock.Now() + base::JitteredBackoff(++not_started_in_row_, kFirstPause, kLongestPause);
  }
  const bool whole_failed = delivery.events.size() > 1 &&
                            std::all_of(results.begin(), results.end(), [](const EventResult& result) {
                              return result.kind != EventResult::Kind::kDone;
                            });
  // What follows a failed one in its lane comes again after it, done or not.
  std::set<std::string> failed_lanes;
  for (std::size_t i = 0; i < delivery.events.size(); ++i) {
    PendingEvent* const event = queue_.Find(delivery.events[i]);
    if (event == nullptr) continue;
    if (!event->lane.empty() && failed_lanes.contains(event->lane)) {
      NotStarted(*event);
      continue;
    }
    if (results[i].kind == EventResult::Kind::kFailed && !event->lane.empty())
      failed_lanes.insert(event->lane);
    event->alone = event->alone || (whole_failed && started);
    OnResult(*event, results[i], delivery, answer);
  }
}

void TriggerDelivery::OnResult(PendingEvent& event, const EventResult& result, const Delivery& delivery,
                               const Answer& answer) {
  if (event.cancelled && result.kind != EventResult::Kind::kDone) {
    EventOutcome outcome;
    outcome.record = event.record;
    outcome.kind = EventOutcome::Kind::kCancelled;
    outcome.attempts = event.attempts + 1;
    queue_.Remove(event, context_.clock.Now());
    FinishStored(std::move(outcome));
    return;
  }
  switch (result.kind) {
    case EventResult::Kind::kDone:
      Done(event, answer, delivery.events.size());
      return;
    case EventResult::Kind::kNotStarted:
      NotStarted(event);
      return;
    case EventResult::Kind::kRefused:
      event.attempts++;
      AddAttempt(event, result.problem, delivery.invocation_id);
      Kill(event, result.problem);
      return;
    case EventResult::Kind::kFailed:
      event.attempts++;
      AddAttempt(event, result.problem, delivery.invocation_id);
      Failed(event, result.problem, result.problem.reason() != kReasonReplicaLost);
      return;
  }
}

bool TriggerDelivery::Cancel(const std::string& record) {
  for (auto& [number, delivery] : deliveries_) {
    for (const EventQueue::Number of : delivery.events) {
      PendingEvent* const event = queue_.Find(of);
      if (event == nullptr || event->record != record) continue;
      event->cancelled = true;
      // Others of its batch would go with it.
      if (delivery.events.size() == 1) delivery.dispatched->Cancel();
      return true;
    }
  }
  for (PendingEvent* event : queue_.All()) {
    if (event->record != record) continue;
    EventOutcome outcome;
    outcome.record = record;
    outcome.kind = EventOutcome::Kind::kCancelled;
    outcome.attempts = event->attempts;
    queue_.Remove(*event, context_.clock.Now());
    FinishStored(std::move(outcome));
    Touch();
    return true;
  }
  return false;
}

void TriggerDelivery::AddRunning(std::set<std::string>& records) const {
  for (const auto& [number, delivery] : deliveries_) {
    for (const EventQueue::Number of : delivery.events) {
      const PendingEvent* const event = queue_.Find(of);
      if (event != nullptr && event->stored()) records.insert(event->record);
    }
  }
}

}  // namespace mayfly::gateway
