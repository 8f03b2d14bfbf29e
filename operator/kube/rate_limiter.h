// A RateLimiter spreads the requests of one process, so that it never is who overloads an API server.
//
// A bucket of `burst` tokens that fills at `per_second`: a request takes one, and waits its turn if there is
// none. kUrgent requests (lease renewals, of which there are few) never wait, even while a resync has a
// thousand requests in line: they take their token from what the others wait for.
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "base/clock.h"
#include "base/status.h"

namespace mayfly::kube {

enum class Priority { kNormal, kUrgent };

class RateLimiter {
 public:
  struct Limits {
    double per_second = 50;
    double burst = 100;
  };

  // `clock` must outlive the limiter. REQUIRES: both limits are positive.
  RateLimiter(const base::Clock& clock, Limits limits);

  // Returns when the caller may send. kDeadlineExceeded at once if its turn would come after `deadline`;
  // kCancelled when `stop` is requested.
  absl::Status Acquire(Priority priority, base::MonotonicTime deadline, std::stop_token stop);

 private:
  const base::Clock& clock_;
  const Limits limits_;

  std::mutex mutex_;
  std::condition_variable_any never_;  // nobody notifies: waits end by time or by stop
  double tokens_;                      // guarded by mutex_; negative: so many wait
  base::MonotonicTime filled_;         // guarded by mutex_
};

}  // namespace mayfly::kube
