// A Backoff says how long to wait after each failure in a row.
//
// The delay doubles from `first` to `longest`; of each, up to half is taken away at random, so that many who
// lost the same server do not come back together. Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace mayfly::kube {

class Backoff {
 public:
  using Duration = std::chrono::milliseconds;

  Backoff(Duration first, Duration longest) : first_(first), longest_(longest), next_(first) {}

  Duration Next() {
    const Duration delay = next_;
    next_ = std::min(next_ * 2, longest_);
    std::uniform_int_distribution<Duration::rep> off(0, delay.count() / 2);
    return delay - Duration(off(random_));
  }
  // It went well: the next failure starts from the shortest delay.
  void Reset() { next_ = first_; }

 private:
  const Duration first_;
  const Duration longest_;
  Duration next_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace mayfly::kube
