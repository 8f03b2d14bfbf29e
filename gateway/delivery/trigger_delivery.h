// A TriggerDelivery takes the events of one trigger from where they come (its source, the store) to the function, and
// their outcomes back.
//
// What it has in memory is bounded: the source gets credits for as many events as there is room for, and the store is
// asked for as many. An event is settled at its origin once its outcome is durable, and not before: a dead letter is in
// the store first.
//
// Belongs to the engine's thread; callbacks of other threads come through the engine's inbox.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/delivery/dedup_window.h"
#include "gateway/delivery/engine_context.h"
#include "gateway/delivery/event_delivery.h"
#include "gateway/delivery/event_queue.h"
#include "gateway/sources/source_factory.h"

namespace mayfly::gateway {

// What is known of a trigger, for people and metrics.
struct TriggerState {
  TriggerKey key;
  bool has_source = false;
  bool durable = false;
  absl::Status health;
  Backlog backlog;
  // Of this process, for durable sources; the store counts the rest.
  std::uint64_t accepted = 0;
  std::uint64_t settled = 0;
  std::uint64_t parked = 0;  // handed to the store, which counts them as accepted and dead-lettered
  std::uint64_t pending = 0;
  // Beside the sum.
  std::uint64_t duplicates = 0;
  std::uint64_t released = 0;
  std::uint64_t lost = 0;
  std::uint64_t retries = 0;
  std::size_t in_memory = 0;
  std::size_t running = 0;
};

class TriggerDelivery : public std::enable_shared_from_this<TriggerDelivery> {
 public:
  TriggerDelivery(EngineContext& context, TriggerKey key, std::shared_ptr<FunctionSlots> slots);
  ~TriggerDelivery();

  // How events of this trigger are delivered from now on.
  void SetPolicy(const v1::EventTrigger& trigger, const v1::RetryPolicy& retry);
  // REQUIRES: there is none.
  absl::Status StartSource(std::unique_ptr<EventSource> source);
  // Why there is no source, although there should be.
  void SetHealth(absl::Status health) {
    state_.health = std::move(health);
    told_health_ = true;
    Touch();
  }
  // The store may have events that are due.
  void OnDue();
  // Something of the function has changed.
  void OnFunction() { Touch(); }

  // Looks at everything; returns when to look again.
  std::optional<base::MonotonicTime> Pump(base::MonotonicTime now);
  // Sends what the last turn has settled.
  void Flush();

  // Ends: takes nothing more, gives back what has not started, and waits for what runs. `deleted`: for good.
  void Retire(bool deleted = false);
  // Gives back what still runs, too: its outcome is of no matter any more.
  void Abandon();
  // The trigger is another gateway's now: nothing of it is settled here any more, however it ends. REQUIRES: Retire().
  void Lose();
  // Whether its source goes on when this gateway's term is over; see SourceTraits.
  bool fenced() const { return source_ != nullptr && traits_.fenced; }
  bool retiring() const { return retiring_; }
  bool idle() const;
  std::unique_ptr<EventSource> TakeSource();

  // Ends the delivery that runs of this stored event; false if none does.
  bool Cancel(const std::string& record);

  // Adds the records of stored events whose invocations run.
  void AddRunning(std::set<std::string>& records) const;

  const TriggerKey& key() const { return state_.key; }
  TriggerState state() const;
  // For the operator; `stored` is how many of its events the store has. Nothing while its source has not said anything.
  std::optional<v1::TriggerReport> Report(std::uint64_t stored) const;

 private:
  class Sink;
  class Collector;
  struct Delivery {
    std::vector<EventQueue::Number> events;
    bool batch = false;
    std::string invocation_id;
    std::unique_ptr<Dispatched> dispatched;
  };

  void Touch() { context_.dirty.insert(this); }
  // Makes a function to post, which does nothing once this is gone.
  std::function<void()> Later(std::function<void(TriggerDelivery&)> task);

  // From the source.
  void OnPush(std::vector<SourceEvent> events);
  void OnRevoke(const std::vector<EventToken>& tokens);
  void TakeDurable(SourceEvent event);
  void StoreFirst(SourceEvent event);

  // To the function.
  void StartDeliveries(base::MonotonicTime now);
  void Deliver(const std::vector<PendingEvent*>& events, bool batch, base::MonotonicTime now);
  void OnAnswer(std::uint64_t delivery, Answer answer);
  void OnResult(PendingEvent& event, const EventResult& result, const Delivery& delivery,
                const Answer& answer);
  BatchLimits Limits() const;
  std::size_t Room() const;

  // Outcomes: trigger_outcomes.cc.
  // `batched`: how many events the answer is of.
  void Done(PendingEvent& event, const Answer& answer, std::size_t batched);
  void Failed(PendingEvent& event, const v1::Problem& problem, bool counts);
  void NotStarted(PendingEvent& event);
  void Kill(PendingEvent& event, v1::Problem problem);
  void Release(PendingEvent& event);
  struct Parked;
  // Stores what an event of a durable source leaves behind, and settles it then.
  void Park(std::shared_ptr<Parked> parked);
  void ParkRest(std::uint64_t number, std::shared_ptr<Parked> parked);
  void OnParked(std::uint64_t number, const std::shared_ptr<Parked>& parked, const absl::Status& status);
  void ParkAgain(base::MonotonicTime now);
  void Settle(const std::vector<EventToken>& tokens, Settled how, const absl::Status& why = {});
  void FinishStored(EventOutcome outcome);
  void SendOutcomes(std::vector<EventOutcome> outcomes);
  bool TooOld(const PendingEvent& event, base::MonotonicTime now) const;
  void AddAttempt(PendingEvent& event, const v1::Problem& problem, const std::string& invocation_id);

  // From the store.
  void LeaseFromStore(base::MonotonicTime now);
  void OnLeased(absl::StatusOr<LeaseBatch> batch);

  EngineContext& context_;
  const std::shared_ptr<FunctionSlots> slots_;
  TriggerState state_;
  v1::EventTrigger trigger_;
  v1::RetryPolicy retry_;
  // As it was when an invocation began last: results go where it says, although the function may be gone.
  std::shared_ptr<const v1::FunctionRoute> route_;

  std::shared_ptr<Sink> sink_;
  std::unique_ptr<EventSource> source_;
  SourceTraits traits_;
  std::size_t granted_ = 0;  // credits that the source has and has not used
  base::MonotonicTime extend_at_{};

  EventQueue queue_;
  DedupWindow done_;
  std::map<std::uint64_t, Delivery> deliveries_;
  std::uint64_t next_delivery_ = 1;
  // While the function does not take anything: not before.
  base::MonotonicTime paused_until_{};
  int not_started_in_row_ = 0;

  std::optional<base::MonotonicTime> lease_at_;  // when the store is to be asked; none: not before it says so
  bool leasing_ = false;
  bool more_due_ = false;     // in the store, as of the last answer
  bool told_health_ = false;  // by the source, or of why there is none
  std::string cursor_;        // as the source has saved it, where there is no store

  std::vector<Settlement> settlements_;
  std::vector<EventOutcome> outcomes_;
  std::vector<EventOutcome> failed_outcomes_;  // to be sent again
  std::optional<base::MonotonicTime> send_again_at_;
  std::size_t finishing_ = 0;  // stored events whose outcome is on its way
  struct Parked {
    std::vector<NewEvent> next;          // results that go on
    std::shared_ptr<DeadLetter> letter;  // null: it was handled
    std::vector<EventToken> tokens;
  };
  std::vector<std::shared_ptr<Parked>> unparked_;  // that the store did not take yet
  std::optional<base::MonotonicTime> park_again_at_;
  std::map<std::uint64_t, std::vector<EventToken>> parking_;
  std::uint64_t next_parking_ = 1;
  std::size_t storing_ = 0;  // events of a source that is not durable, on their way into the store
  bool retiring_ = false;
  bool lost_ = false;
  bool quiesced_ = false;
};

}  // namespace mayfly::gateway
