// How long to wait after the n-th failure in a row.
#pragma once

#include <chrono>

namespace mayfly::base {

// `first`, doubled with each failure after the first, up to `longest`; of that, up to half is taken away at random, so that
// what failed together does not come back together. Zero if there was no failure.
std::chrono::nanoseconds JitteredBackoff(int failures, std::chrono::nanoseconds first,
                                         std::chrono::nanoseconds longest);

// The same for one who counts nothing else. Not thread-safe.
class Backoff {
 public:
  using Duration = std::chrono::milliseconds;

  Backoff(Duration first, Duration longest) : first_(first), longest_(longest) {}

  // After one more failure.
  Duration Next();
  // It went well: the next failure starts from the shortest delay.
  void Reset() { failures_ = 0; }

 private:
  const Duration first_;
  const Duration longest_;
  int failures_ = 0;
};

}  // namespace mayfly::base
