// A PgWindow is what is known of a stream of changes between the place that is confirmed and the place that was read: which
// events wait for credits, which are in the engine's hands, which are done.
//
// A server confirms by place: once a commit is confirmed, all before it is. So a commit is confirmed when every event of it,
// and of all before, is settled; what was done ahead of that is remembered. When the stream is read again from the confirmed
// place (the connection was lost, the server was killed), what is here already is known by its place and passed over.
//
//   read ──▶ waiting ── Take() ──▶ held ── Settle(done) ──▶ done ── all before it done ──▶ confirmed, forgotten
//               ▲                    │
//               └──── after a pause ─┴─ Settle(released)
//
// Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gateway/sources/postgres/pg_event.h"

namespace mayfly::gateway {

class PgWindow {
 public:
  // Everything before `confirmed` is past.
  explicit PgWindow(Lsn confirmed = 0) : confirmed_(confirmed), reached_(confirmed) {}

  // The stream is read anew, from what is confirmed.
  void Restart() { open_ = 0; }
  // The stream is at this transaction, perhaps again. False if it is past: nothing of it is wanted.
  bool Begin(Lsn commit);
  // Whether the event of this place is new: then Add() it. It is of the transaction that has begun.
  bool Wants(const PgPlace& place) const;
  void Add(const PgPlace& place, SourceEvent event);
  void Commit(Lsn end);
  // The server has nothing before `end` that it has not sent.
  void Reach(Lsn end);

  // Up to `most` events that wait, with their tokens.
  std::vector<SourceEvent> Take(std::size_t most, base::MonotonicTime now);
  void Settle(EventToken token, bool done, base::MonotonicTime now);
  // When an event that was released may be taken again; none if none waits for that.
  std::optional<base::MonotonicTime> NextRelease() const;
  // Those that are held.
  std::vector<EventToken> Held() const;
  // Whatever is neither done nor past is forgotten: it is read anew, by this or another process.
  void LetGo();

  // What was committed before it need never come again. Never less than before.
  Lsn confirmed() const { return confirmed_; }
  // Of the same database's stream, by whoever else has read it.
  void Advance(Lsn confirmed);

  std::size_t unsettled() const { return waiting_.size() + released_.size() + tokens_.size(); }
  std::size_t held() const { return tokens_.size(); }
  std::size_t waiting() const { return waiting_.size() + released_.size(); }
  // Of those that wait, and of all that is not done.
  std::size_t waiting_bytes() const { return waiting_bytes_; }
  std::size_t bytes() const { return bytes_; }
  // With those that are done and not confirmed.
  std::size_t known() const { return known_; }

 private:
  enum class State { kWaiting, kHeld, kDone };
  struct Entry {
    State state = State::kWaiting;
    EventToken token = 0;
    std::size_t size = 0;
    std::unique_ptr<SourceEvent> event{};  // null once it is done
  };
  struct Transaction {
    Lsn end = 0;     // 0: it has not been read to its end
    PgPlace past{};  // of it, whatever is here or before is done and forgotten
    std::map<PgPlace, Entry> entries{};
  };

  Entry* Find(const PgPlace& place);
  // Forgets what is done at the front of `transaction`, and confirms what can be.
  void Trim(std::map<Lsn, Transaction>::iterator transaction);
  void Confirm();

  Lsn confirmed_ = 0;
  Lsn reached_ = 0;
  Lsn open_ = 0;  // the transaction that is being read
  std::map<Lsn, Transaction> transactions_;
  std::map<PgPlace, Entry*> waiting_;
  std::vector<std::pair<base::MonotonicTime, PgPlace>> released_;
  std::unordered_map<EventToken, PgPlace> tokens_;
  EventToken next_token_ = 1;
  std::size_t waiting_bytes_ = 0;
  std::size_t bytes_ = 0;
  std::size_t known_ = 0;
};

}  // namespace mayfly::gateway
