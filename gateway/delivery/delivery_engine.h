// The DeliveryEngine is the one path of every event, whatever its source: accept, store where the source does not keep
// it, deliver, settle.
//
// It makes the sources of the triggers that the operator tells it of, and ends them when they go; see TriggerDelivery
// for what it does with their events, and source.h for what it promises to sources. Of triggers that must have one owner it
// makes those that are leased to this gateway; see LeaseKeeper.
//
// Thread-safe. One thread, `events`, on which everything happens; other threads hand it tasks, and it never blocks. A
// second one, `event-janitor`, waits for sources that end. Locks, each held alone and never while calling out: the
// inbox's, that of the janitor's list, that of the snapshot.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "gateway/delivery/engine_context.h"
#include "gateway/delivery/lease_keeper.h"
#include "gateway/delivery/trigger_delivery.h"
#include "gateway/delivery/trigger_reporter.h"
#include "gateway/sources/source_factory.h"
#include "gateway/store/event_store.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

// The trigger of asynchronous invocations of a function: no manifest can name one like this.
inline constexpr char kAsyncTrigger[] = "_async";

// How many events there were, and what became of them: accepted = settled + dead_lettered + pending.
struct EventSums {
  TriggerState state;
  std::uint64_t accepted = 0;
  std::uint64_t settled = 0;
  std::uint64_t dead_lettered = 0;
  std::uint64_t pending = 0;
};

class DeliveryEngine {
 public:
  // `store` may be null: then only durable sources have events, and dead letters stay at them. Everything given by
  // reference or pointer must outlive the engine.
  DeliveryEngine(DeliveryOptions options, Dispatcher& dispatcher, EventStore* store,
                 SourceFactories factories, const base::Clock& clock, base::Metrics& metrics);
  // Stops at once if Stop() was not called.
  ~DeliveryEngine();

  // What is told to the operator of each trigger: on the engine's thread; must not block. Set before Start().
  void OnTriggers(TriggerReporter::Report report) { reporter_.OnReport(std::move(report)); }

  // Which process this is to the operator, and whom it tells of its leases: on the engine's thread; must not block. Set before
  // Start(). Without it no trigger is leased to this gateway.
  void OnLeases(std::string gateway, std::string instance,
                std::function<void(const LeaseKeeper::News&)> tell);

  // Takes the results that go to URLs. Set before Start(); must outlive the engine. Without it they wait.
  void UseUrls(Dispatcher& to_urls) { context_.to_urls = &to_urls; }

  // Starts the thread. A test leaves that out and calls Turn().
  void Start();

  // Takes new routes, in the order of the calls.
  void Apply(const v1::RouteUpdate& update);

  // Stores an event and has it delivered: `done` comes once it is durable. kFailedPrecondition without a store.
  void Accept(NewEvent event, EventStore::Callback<Accepted> done);
  // Takes back an event that was accepted: one that runs is stopped. kNotFound once it has its outcome.
  void Cancel(const std::string& record, EventStore::Done done);

  // The records of stored events whose invocations run. The store says of more that they run: of all that this process has
  // leased, among which are those that wait for their batch, their lane or a slot. `done` is called on the engine's thread,
  // unless the engine stops first.
  void Running(std::function<void(std::set<std::string>)> done);

  // Every trigger that there is, and what became of its events. As of at most a second ago.
  std::vector<EventSums> Sums() const;

  EventStore* store() const { return context_.store; }

  // In order: sources push no more; what has not started goes back to its origin; what runs gets its outcome until
  // `deadline`, and is given back then; what is settled is told. Idempotent.
  void Stop(std::chrono::steady_clock::time_point deadline);

  // One round of the thread's work, for tests: returns when the next is due.
  std::optional<base::MonotonicTime> Turn();
  bool HasTasks() const { return !context_.inbox->empty(); }

 private:
  struct Function {
    std::shared_ptr<FunctionSlots> slots = std::make_shared<FunctionSlots>();
    std::shared_ptr<FunctionSlots>
        urls;  // of its results that go to URLs, which need no replica; null: there are none
    std::map<std::string, std::shared_ptr<TriggerDelivery>> triggers;
    std::map<std::string, v1::EventTrigger> wanted;  // as the route says
    std::map<std::string, std::string> running;      // settings of the source that runs, by trigger
  };

  void OnUpdate(const v1::RouteUpdate& update);
  void SetFunction(const v1::FunctionRoute& route);
  // `deleted`: the operator said so, and what its sources have made upstream may go with it.
  void RemoveFunction(const std::string& name, bool deleted);
  // Makes the trigger's source as it is wanted, once the one before has ended.
  void StartTrigger(Function& function, const std::string& name);
  void MakeSource(Function& function, const TriggerKey& key, const v1::EventTrigger& trigger,
                  const std::string& cursor);
  TriggerDelivery& TriggerOf(Function& function, const TriggerKey& key);
  // `lost`: it is somebody else's, who does not wait.
  void RetireTrigger(Function& function, const std::string& name, bool deleted, bool lost = false);
  // Whether another gateway has, or had, what is held here: engine_leases.cc, as the next five.
  bool IsLost(const TriggerKey& key, const v1::EventTrigger& wanted) const;
  void LoseRetired(const TriggerKey& key);
  // Makes the sources of triggers for which there was no term yet.
  void StartAwaited();
  // Ends what must not go on without a term: all of it, if this process stood still and somebody else may have it meanwhile.
  void EndTerms(base::MonotonicTime now);
  // Who delivers what is held: the trigger, or one that ends. Null: its source is not made yet.
  const TriggerDelivery* HolderOf(const TriggerKey& key) const;
  // Returns when to come again.
  std::optional<base::MonotonicTime> TellLeases(base::MonotonicTime now);
  void OnDue(const TriggerKey& key);
  void Tell(const TriggerDelivery& trigger);
  void CollectRetired();
  void AskCounts(base::MonotonicTime now);
  void Publish();
  void Run(const std::stop_token& stop);
  // The rest of the work, up to `deadline`; what is not done then is given back.
  void Drain(std::chrono::steady_clock::time_point deadline);
  bool Drained() const;
  void RunJanitor(const std::stop_token& stop);
  std::vector<TriggerDelivery*> Everyone() const;
  SourceFactory* FactoryOf(const v1::EventTrigger& trigger);

  EngineContext context_;
  const SourceFactories factories_;
  base::Metrics& metrics_;

  // On the engine's thread.
  std::map<std::string, Function> functions_;
  std::set<TriggerKey> stored_;  // triggers that the store has events of
  struct Retired {
    std::shared_ptr<TriggerDelivery> trigger;
    bool heard = false;   // what its source had pushed before it was quiet was taken in
    bool ending = false;  // its source is with the janitor
  };
  std::vector<Retired> retired_;
  std::set<TriggerKey> ending_;  // whose source is not gone yet
  LeaseKeeper leases_;
  base::MonotonicTime ended_terms_at_{};
  std::function<void(const LeaseKeeper::News&)> tell_leases_;
  std::map<TriggerDelivery*, base::MonotonicTime> timers_;
  TriggerReporter reporter_;
  std::map<TriggerKey, TriggerCounts> counts_;
  std::map<TriggerKey, TriggerState> gone_;  // what triggers that are gone have counted
  base::MonotonicTime count_at_{};
  bool counting_ = false;
  bool asked_ = false;   // for counts, ever
  bool changed_ = true;  // since counts were asked for; at first, what the store has from before
  bool stopping_ = false;
  std::map<TriggerKey, EventSums> exported_;

  mutable std::mutex sums_mutex_;
  std::vector<EventSums> sums_;  // guarded by sums_mutex_

  struct Ending {
    std::unique_ptr<EventSource> source;
    std::shared_ptr<TriggerDelivery> trigger;  // its sink
    base::MonotonicTime deadline;
  };
  std::mutex janitor_mutex_;
  std::condition_variable_any janitor_changed_;
  std::vector<Ending> endings_;  // guarded by janitor_mutex_

  std::jthread janitor_;
  std::jthread thread_;
};

}  // namespace mayfly::gateway
