// An EventStore keeps events until their outcome: those of sources that do not keep them, dead letters of all, and the
// results of asynchronous invocations.
//
//   Accept ─▶ waiting ─ Lease ─▶ leased ─ Finish ─┬▶ done (gone; the result stays for a while if it is asked for)
//                ▲                                ├▶ waiting again, due later
//                │                                └▶ dead letter ─┬ Redrive ─▶ waiting
//                └──────────── Release, restart ──                └ Purge ─▶ gone
//
// For each trigger, at any instant: accepted = settled + dead-lettered + pending, where pending is waiting or leased.
//
// Durable means: whoever was told OK by a callback finds it again after the process was killed or the machine has lost
// its power. What was leased by a process that is gone is waiting again.
//
// Times are the store's own: wall time at opening plus monotonic time since, so that no step of the clock makes a retry,
// a dedup window or a kept result early or late while the process lives.
//
// Thread-safe. Calls return at once; callbacks come on the store's thread, in the order of the calls, and must not
// block. Every callback is called once, at the latest when the store stops. Errors:
//   kResourceExhausted   no room (disk, quota, queue): the same later may go through
//   kUnavailable         stopped, or its server is away
//   kNotFound            no such record (any more)
//   kDataLoss            it cannot be read, or no longer be trusted; the message says what to do
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "gateway/sources/trigger_key.h"
#include "mayfly/v1/runtime.pb.h"
#include "mayfly/v1/store.pb.h"

namespace mayfly::gateway {

using UnixMs = std::int64_t;

struct NewEvent {
  // The event's name in the store: unique, and no stranger can guess it. See NewRecordId().
  std::string record;
  TriggerKey trigger;
  v1::Event event;
  std::string body;
  std::string lane;
  // Becomes the trigger's cursor in the same transaction, also if the event is a duplicate. "": unchanged.
  std::string cursor;
  // Whether its result is kept: an asynchronous invocation.
  bool keep_result = false;
};

struct Accepted {
  std::string record;  // of the one that was there before, if it is a duplicate
  bool duplicate = false;
};

struct LeasedEvent {
  std::string record;
  v1::Event event;
  std::string body;
  std::string lane;
  UnixMs accepted_ms = 0;
  std::uint32_t attempts = 0;  // deliveries so far that may have started
  v1::AttemptHistory history;
  bool keep_result = false;
};

struct LeaseBatch {
  std::vector<LeasedEvent> events;
  // How long until the next event that was not given is due; absent: none waits, or others stand before it.
  std::optional<std::chrono::milliseconds> next_due;
};

struct EventOutcome {
  enum class Kind {
    kDone,
    kRetry,    // due again `delay` from now
    kRelease,  // was not tried: waiting as before, due `delay` from now
    kDeadLetter,
    kCancelled,  // somebody took it back: counts as settled
  };
  std::string record;
  Kind kind = Kind::kDone;
  std::chrono::milliseconds delay{0};
  std::uint32_t attempts = 0;              // with kRetry and kDeadLetter: as LeasedEvent::attempts
  v1::AttemptHistory history;              // with kRetry and kDeadLetter: the whole, new attempts included
  v1::Problem problem;                     // with kDeadLetter: why
  std::optional<v1::StoredResult> result;  // kept if the event was accepted with keep_result
  // With kDone and kDeadLetter: accepted in the same transaction, if the record is still leased. Their triggers are told of by
  // OnDue().
  std::vector<NewEvent> next;
};

// An event that only its source had until now, and that is given up.
struct DeadLetter {
  std::string record;
  TriggerKey trigger;
  v1::Event event;
  std::string body;
  std::string lane;
  UnixMs accepted_ms = 0;  // 0 as an argument: now
  UnixMs died_ms = 0;      // set by the store
  std::uint32_t attempts = 0;
  v1::AttemptHistory history;
  v1::Problem problem;
};

enum class EventState { kWaiting, kRunning, kDone, kDeadLettered, kCancelled };

// What is known of one record.
struct EventView {
  std::string record;
  TriggerKey trigger;
  EventState state = EventState::kWaiting;
  v1::Event event;  // empty once it is done or cancelled
  std::string body;
  UnixMs accepted_ms = 0;
  UnixMs due_ms = 0;  // with kWaiting
  std::uint32_t attempts = 0;
  v1::AttemptHistory history;
  std::optional<v1::StoredResult> result;
};

// Which events, or dead letters. Empty fields select all.
struct EventSelection {
  std::string function;
  std::string trigger;
  std::vector<std::string> records;
  std::string reason;      // of a dead letter's problem
  std::string after;       // records that come after this one in the listing
  std::size_t most = 100;  // at most this many, and never more than 1,000
  bool with_body = false;
};

struct TriggerCounts {
  TriggerKey trigger;
  std::uint64_t accepted = 0;
  std::uint64_t settled = 0;
  std::uint64_t dead_lettered = 0;
  std::uint64_t pending = 0;
};

// 26 characters that sort by time and that nobody can guess.
std::string NewRecordId(UnixMs now);

class EventStore {
 public:
  template <typename T>
  using Callback = std::function<void(absl::StatusOr<T>)>;
  using Done = std::function<void(absl::Status)>;

  // Stops.
  virtual ~EventStore() = default;

  // Called, on the store's thread, with a trigger that may have events due that this process does not know of: those
  // found at opening, redriven ones, those that another gateway has accepted. Set once, before anything else.
  virtual void OnDue(std::function<void(const TriggerKey&)> due) = 0;

  // Stores the event, unless one with the same (source, id) was accepted for the trigger within the dedup window.
  virtual void Accept(NewEvent event, Callback<Accepted> done) = 0;

  // Leases events of `trigger` that are due, in the order in which they became so, to this process until Finish().
  // Of those with a lane only the oldest that is pending, and only if it is not leased. At most `most`, and no more
  // after their bodies have `most_bytes` together.
  virtual void Lease(const TriggerKey& trigger, std::size_t most, std::size_t most_bytes,
                     Callback<LeaseBatch> done) = 0;

  // All of them, or none. A record that is not leased (any more) is passed over.
  virtual void Finish(std::vector<EventOutcome> outcomes, Done done) = 0;

  // Takes in a dead letter of a durable source: counts as accepted and as dead-lettered. Again the same record: no-op.
  virtual void Park(DeadLetter letter, Done done) = 0;

  // Takes a waiting event back. kFailedPrecondition while it is leased, kNotFound once it is settled.
  virtual void Cancel(const std::string& record, Done done) = 0;

  virtual void Find(const std::string& record, Callback<EventView> done) = 0;
  // Events that wait or are leased, oldest first.
  virtual void ListPending(EventSelection selection, Callback<std::vector<EventView>> done) = 0;
  // Oldest first; bodies only with `with_body`.
  virtual void ListDead(EventSelection selection, Callback<std::vector<DeadLetter>> done) = 0;
  // Each returns how many; call again while that is selection.most.
  virtual void Redrive(EventSelection selection, Callback<std::size_t> done) = 0;
  virtual void Purge(EventSelection selection, Callback<std::size_t> done) = 0;

  virtual void Counts(Callback<std::vector<TriggerCounts>> done) = 0;

  // "" if none was saved.
  virtual void ReadCursor(const TriggerKey& trigger, Callback<std::string> done) = 0;
  virtual void SaveCursor(const TriggerKey& trigger, std::string cursor, Done done) = 0;

  // OK while events are accepted; else why not, in a sentence for people.
  virtual absl::Status health() const = 0;

  // Finishes what was asked for, up to `deadline`, and refuses the rest. Idempotent.
  virtual void Stop(std::chrono::steady_clock::time_point deadline) = 0;
};

}  // namespace mayfly::gateway
