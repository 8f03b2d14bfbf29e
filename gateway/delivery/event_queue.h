// An EventQueue holds the events of one trigger between their coming and their outcome, and says which go next.
//
// Events without a lane go in the order in which they came, any number at once. Those of one lane go one batch at a
// time: while some of a lane run or wait for a retry, the rest of that lane waits behind them.
//
// Belongs to one thread; time is an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/delivery/pending_event.h"

namespace mayfly::gateway {

struct BatchLimits {
  std::size_t most = 1;
  std::size_t most_bytes = std::size_t{1} << 20;
  std::chrono::milliseconds window{0};
};

class EventQueue {
 public:
  using Number = std::uint64_t;

  // Takes an event in, ready now. Returns it.
  PendingEvent& Add(std::unique_ptr<PendingEvent> event, base::MonotonicTime now);

  // The next to go together, marked as running; empty if none can go before NextChange().
  std::vector<PendingEvent*> Take(const BatchLimits& limits, base::MonotonicTime now);

  // A running event goes back, to go again at `due`; to the front of its lane.
  void PutBack(PendingEvent& event, base::MonotonicTime due, base::MonotonicTime now);

  // The event is out of here; its lane moves on. Running or not.
  std::unique_ptr<PendingEvent> Remove(PendingEvent& event, base::MonotonicTime now);

  // When Take() may give something that it does not give now; none if only another event can bring that about.
  std::optional<base::MonotonicTime> NextChange(const BatchLimits& limits, base::MonotonicTime now);

  PendingEvent* Find(Number number) const;
  PendingEvent* FindDuplicate(const std::string& dedup_key) const;
  std::size_t size() const { return events_.size(); }
  std::size_t bytes() const { return bytes_; }
  std::size_t running() const { return running_; }
  // All of them, in the order in which they came.
  std::vector<PendingEvent*> All();

 private:
  struct Lane {
    std::deque<Number> waiting;
    std::size_t running = 0;
    bool listed = false;                     // in ready_lanes_
    std::optional<base::MonotonicTime> due;  // then in delayed_lanes_
  };

  // Moves what has become due to what is ready.
  void Wake(base::MonotonicTime now);
  // Puts the lane among those that are ready, or delayed, or neither while some of it run; forgets it if it is empty.
  void Place(const std::string& name, base::MonotonicTime now);
  void TakeOne(PendingEvent& event, std::vector<PendingEvent*>* batch, std::size_t* bytes);
  // Whether `event` may join a batch that has some already.
  static bool Fits(const PendingEvent& event, const std::vector<PendingEvent*>& batch, std::size_t bytes,
                   const BatchLimits& limits);
  // Since when the first of what is ready is; nothing if nothing is ready.
  std::optional<base::MonotonicTime> OldestReady() const;
  bool Full(const BatchLimits& limits) const;

  std::map<Number, std::unique_ptr<PendingEvent>> events_;
  std::unordered_map<std::string, Number> by_key_;
  std::set<Number> ready_;  // without a lane
  std::set<std::pair<base::MonotonicTime, Number>> delayed_;
  std::unordered_map<std::string, Lane> lanes_;
  std::list<std::string> ready_lanes_;
  std::set<std::pair<base::MonotonicTime, std::string>> delayed_lanes_;
  std::size_t bytes_ = 0;
  std::size_t running_ = 0;
  Number next_ = 1;
};

}  // namespace mayfly::gateway
