// A Workload is what a simulation has to serve: requests with their arrival and how long each runs.
//
// It comes from a trace that somebody recorded, or is made from a pattern; the same seed makes the same workload.
#pragma once

#include <chrono>
#include <cstdint>
#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mayfly::op {

using SimSeconds = double;  // since the begin of the simulation

struct SimRequest {
  SimSeconds at = 0;
  float seconds = 0;  // how long a slot is busy with it
};

struct Workload {
  std::string name;
  std::vector<SimRequest> requests;  // by `at`
  SimSeconds length = 0;
};

// More would be a matter of minutes and gigabytes.
inline constexpr std::size_t kMostSimRequests = 5'000'000;
inline constexpr SimSeconds kLongestSim = 7 * 24 * 3600.0;

// A trace is CSV: a row for each moment at which the rate changes.
//
//   seconds,requests[,milliseconds]
//   0,120,35
//   60,0
//
// The requests of a row come spread at random between its time and the next row's (a last row lasts as long as the one
// before it; 60 s if it is alone), each runs `milliseconds`, or `default_seconds` where that is not given. A first row of words, empty
// lines and lines that begin with # are passed over. kInvalidArgument names the line and what is wrong with it.
absl::StatusOr<Workload> ReadTrace(std::istream& csv, std::string name, SimSeconds default_seconds,
                                   std::uint64_t seed);

// A pattern by name, for a request that runs `seconds`: kInvalidArgument lists those that there are.
//
//   step      nothing, 50 at once, nothing          ramp    0 to 100 at once and back
//   diurnal   a day in an hour: 2 to 40 at once     burst   2 at once, a hundred times that for 20 s, twice
//   onoff     20 at once for 30 s, then 90 s of nothing
//   azure     one function of Azure's fleet, and another for each seed: rate and duration drawn from what is published
//             of them (Shahrad et al., "Serverless in the Wild", USENIX ATC 2020: 45 % of applications at most one
//             invocation an hour, 81 % at most one a minute; durations log-normal with mean -0.38 and sigma 2.36 of the
//             logarithm of seconds), of those that are invoked at least ten times in the simulated day
//
// "n at once" is the mean concurrency that the requests make; they arrive at random (Poisson).
absl::StatusOr<Workload> MakePattern(std::string_view name, SimSeconds seconds, std::uint64_t seed);

std::vector<std::string> PatternNames();

}  // namespace mayfly::op
