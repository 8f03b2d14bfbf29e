// A WorkQueue hands object keys to reconcile workers, one worker per key.
//
// Watches add keys far faster than workers reconcile them, and a key says only *which* object to look at,
// never what happened to it. So equal keys collapse into one, and a key added again while a worker holds it
// waits until that worker calls Done(): no two workers ever see the same object at once. Its size is
// therefore bounded by the number of keys.
//
// Thread-safe. Starts no thread; delays are measured on the Clock it is given.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/clock.h"

namespace mayfly::op {

class WorkQueue {
 public:
  struct Backoff {
    std::chrono::nanoseconds first = std::chrono::milliseconds(50);
    std::chrono::nanoseconds longest = std::chrono::seconds(60);
  };

  // `clock` must outlive the queue.
  explicit WorkQueue(const base::Clock& clock) : WorkQueue(clock, Backoff()) {}
  WorkQueue(const base::Clock& clock, Backoff backoff);

  // Adds `key` now.
  void Add(const std::string& key);
  // Adds `key` once `delay` has passed; an earlier Add() still wins.
  void AddAfter(const std::string& key, std::chrono::nanoseconds delay);
  // Adds `key` after a delay that doubles with every call since the last Forget(key), from `first` to
  // `longest`, of which up to half is taken away at random, so that keys that failed together do not come
  // back together.
  void AddWithBackoff(const std::string& key);
  // The key did well: its next AddWithBackoff() starts from the shortest delay.
  void Forget(const std::string& key);

  // Takes the key that waits longest, or nothing if none is due.
  std::optional<std::string> TryTake();
  // Waits for a key; nothing once `stop` is requested.
  std::optional<std::string> Take(std::stop_token stop);
  // Ends the work on `key`.
  // REQUIRES: `key` came from TryTake() or Take() and is not done yet.
  void Done(const std::string& key);

  // Keys that are due and wait for a worker.
  std::size_t depth() const;
  // When the earliest delayed key comes due; nothing if none is delayed.
  std::optional<base::MonotonicTime> next_due() const;

 private:
  struct Entry {
    bool queued = false;                     // in ready_
    bool working = false;                    // held by a worker
    bool again = false;                      // added while a worker held it
    std::optional<base::MonotonicTime> due;  // in delayed_
    int failures = 0;
  };

  void AddLocked(const std::string& key);
  void AddAfterLocked(const std::string& key, std::chrono::nanoseconds delay);
  void PromoteDueLocked(base::MonotonicTime now);
  void DropIfIdleLocked(const std::string& key);
  std::optional<std::string> TryTakeLocked(base::MonotonicTime now);

  const base::Clock& clock_;
  const Backoff backoff_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::string> ready_;                                  // guarded by mutex_
  std::set<std::pair<base::MonotonicTime, std::string>> delayed_;  // guarded by mutex_
  std::unordered_map<std::string, Entry> entries_;                 // guarded by mutex_
  std::minstd_rand random_{std::random_device{}()};                // guarded by mutex_
};

}  // namespace mayfly::op
