// How long to wait after the n-th failure in a row.
#pragma once

#include <chrono>

namespace mayfly::op {

// `first`, doubled with each failure after the first, up to `longest`; of that, up to half is taken away at random, so that
// what failed together does not come back together. Zero if there was no failure.
std::chrono::nanoseconds JitteredBackoff(int failures, std::chrono::nanoseconds first,
                                         std::chrono::nanoseconds longest);

}  // namespace mayfly::op
