// A CronTimer calls whoever asked when the wall clock has come to an instant.
//
// One thread, `cron`, for all schedules of a process. It waits for the monotonic time that the earliest instant is away,
// and looks at the wall clock again at least every 30 s, so that a step of it is noticed. With nobody to call it sleeps.
//
// Thread-safe. Calls come on the timer's thread, with no lock held.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "absl/time/time.h"
#include "base/clock.h"

namespace mayfly::gateway {

class CronTimer {
 public:
  using Id = std::uint64_t;

  explicit CronTimer(const base::Clock& clock);  // `clock` must outlive the timer

  // Has `call` called at `at`, and again at each instant that it returns; absl::InfiniteFuture() for never, until Set().
  Id Add(absl::Time at, std::function<absl::Time(absl::Time now)> call);
  // … or at `at`, if that is earlier.
  void Set(Id id, absl::Time at);
  // No call of it runs or comes once this has returned. Not from within the call.
  void Remove(Id id);

 private:
  struct Entry {
    absl::Time at;
    std::function<absl::Time(absl::Time)> call;
  };

  void Run(const std::stop_token& stop);
  absl::Time Earliest() const;  // REQUIRES: mutex_ is held

  const base::Clock& clock_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<Id, Entry> entries_;  // guarded by mutex_
  Id next_ = 1;                  // guarded by mutex_
  Id calling_ = 0;               // guarded by mutex_
  bool moved_ = false;           // guarded by mutex_; an entry is new, or has another time
  std::jthread thread_;
};

}  // namespace mayfly::gateway
