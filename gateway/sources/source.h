// An EventSource brings the events of one trigger: a queue's messages, a schedule's instants, a webhook's requests.
//
// The source pushes events into an EventSink (the delivery engine), each with a token, and the engine settles each token
// exactly once. What is between belongs to the engine: retries, backoff, lanes, batches, dead letters. A source knows
// how to get events, how to acknowledge them and how to keep them leased, and nothing of functions.
//
//   kind of source    what is stored before delivery   how a token ends
//   durable           nothing: the source keeps it     kDone or kDeadLettered after the outcome is durable; kReleased
//   not durable       every event                      kStored once it is durable; kReleased if it could not be stored
//
// A durable source acknowledges upstream in Settle() and never before. After kReleased it lets the event come again: to
// another gateway at once where it can. So an event is at least once at the handler; the engine drops what comes again
// within the dedup window after it was done.
//
// Threads. The engine calls Grant, Settle, Extend and Quiesce on its own thread, one at a time, and never from within a
// call of the sink; none may block: a source whose client blocks has a thread and hands it the work. The sink may be
// called from any thread, also before Start() has returned, and never blocks.
//
// Life:  factory → Start(sink) → Grant, Settle, Extend … → Quiesce → Settle … → Stop → destroyed
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "gateway/sources/backlog.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {

// Which event: chosen by the source, unique among those that it has not settled.
using EventToken = std::uint64_t;

struct SourceEvent {
  EventToken token = 0;
  // CloudEvents attributes: id, source and type are set. (source, id) is what duplicates are known by.
  v1::Event event;
  std::string body;
  // Events of one lane come one after the other, if the trigger says orderBy: lane. "": of no lane.
  std::string lane;
  // 1, or how often the source says that it has handed this event out.
  std::uint32_t deliveries = 1;
  // Not durable sources: becomes the source's cursor in the same transaction that stores the event. "": unchanged.
  std::string cursor;
};

enum class Settled {
  kDone,          // the handler has taken it: acknowledge
  kDeadLettered,  // it is in the dead-letter store: acknowledge
  kStored,        // it is in the event store, or was before: acknowledge (sources that are not durable)
  kReleased,      // it is not handled: let it come again
};

struct Settlement {
  EventToken token = 0;
  Settled how = Settled::kReleased;
  // With kReleased: why, if it is a failure; kResourceExhausted and kUnavailable may be tried again later.
  absl::Status why;
};

// What the engine must know of a source to treat it right.
struct SourceTraits {
  // The source keeps an event until it is settled, over restarts of everything.
  bool durable = true;
  // How long the source leaves an unsettled event to this gateway before it hands it to another; Extend() comes at least
  // every third of it. 0: as long as the connection lives.
  std::chrono::milliseconds lease{0};
  // Of a trigger that must have one owner: an owner of an older epoch is refused where the events come from, or cannot reach
  // them at all. Then the source goes on while no operator renews its gateway's term; others end with the term, and all do
  // when the gateway stood still beyond it.
  bool fenced = false;
};

// What a source says to the engine. Thread-safe; outlives the source.
class EventSink {
 public:
  virtual ~EventSink() = default;

  // Hands events over, at most as many as are granted. In order: those of one lane keep it.
  virtual void Push(std::vector<SourceEvent> events) = 0;

  // The source has taken these back (a partition went to another member): those that have not started will not, and
  // whatever becomes of the others is settled as ever, with kReleased unless they were done. The source may ignore it.
  virtual void Revoke(std::vector<EventToken> tokens) = 0;

  // The backlog, when it leaves zero and whenever it has changed; at most some times a second.
  virtual void SetBacklog(Backlog backlog) = 0;

  // Whether the source gets events, with the server's own words if it does not: TriggersReady. Called whenever it
  // changes; a source that has not called it is not ready yet.
  virtual void SetHealth(absl::Status health) = 0;

  // Remembers `cursor` for the next source of this trigger, in this process or the next; where there is no store, with the operator,
  // for a trigger that is leased. Sources that are not durable, or whose server keeps no place.
  virtual void SaveCursor(std::string cursor) = 0;

  // So many events that the source had handed out, here or elsewhere, are gone from it and come no more.
  virtual void CountLost(std::size_t count) = 0;
};

class EventSource {
 public:
  // REQUIRES: Stop() was called, if Start() was. No call of the sink is running or comes after.
  virtual ~EventSource() = default;

  virtual SourceTraits traits() const = 0;

  // Begins. Must not block: it connects, and connects again with backoff, in the background, and says so by SetHealth().
  // An error is one that no time mends, such as a setting that cannot be right; the source is then destroyed.
  virtual absl::Status Start(EventSink& sink) = 0;

  // `credits` more events may be pushed. A durable source asks its server for no more than this; sources that are not
  // durable may push at any time, and what cannot be taken is released with the reason.
  virtual void Grant(std::size_t credits) = 0;

  // Each token once. Tokens whose lease is lost already may come; they are ignored.
  virtual void Settle(const std::vector<Settlement>& settlements) = 0;

  // These are still worked on: keep them leased.
  virtual void Extend(const std::vector<EventToken>& tokens) = 0;

  // The trigger is deleted: what the source has made upstream for it alone may go with Stop(). Before Quiesce(), if at all.
  virtual void Discard() {}

  // Ends the pushing: what is at the source stays there. Settle() still comes. Idempotent.
  virtual void Quiesce() = 0;

  // Sends what was settled, up to `deadline`, and ends. May block until then.
  virtual void Stop(std::chrono::steady_clock::time_point deadline) = 0;
};

}  // namespace mayfly::gateway
