// A storm: requests over many connections to a real `mayfly up`, while its workers and runtimes are killed at random.
//
// Every answer is held against its own request, every failure against a kill that explains it: the worker that the log
// names was killed, the replica that the answer names was killed while the request was under way. What no kill explains
// is a violation, and so is an answer that is late, a connection that is cut, and anything that is left in the end.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mayfly::chaos {

struct StormOptions {
  std::string name;
  int requests = 100'000;
  int connections = 64;
  // The function: slots of a replica, replicas at most, and its timeout.
  int concurrency = 16;
  int max_replicas = 6;
  std::chrono::milliseconds timeout{5'000};
  // A handler takes a random time up to this.
  std::chrono::milliseconds longest_handler{40};
  std::chrono::milliseconds kill_worker_every{200};
  std::chrono::milliseconds kill_runtime_every{1'000};
  std::uint32_t seed = 1;
};

struct StormReport {
  int requests = 0;
  int right = 0;
  std::map<std::string, int> failed;  // clean 5xx, by reason
  int workers_killed = 0;
  int runtimes_killed = 0;
  std::chrono::milliseconds took{0};
  // Of the requests, whatever their end.
  std::chrono::milliseconds p50{0};
  std::chrono::milliseconds p99{0};
  std::chrono::milliseconds longest{0};
  // The longest time in which no request at all got its right answer.
  std::chrono::milliseconds longest_silence{0};
  // From the last answer until no process of the function was left.
  std::chrono::milliseconds to_zero{0};
  std::chrono::milliseconds to_end{0};  // from SIGINT
  // What must not be, a sentence each: the first few of each kind, and how many there were.
  std::vector<std::string> violations;
};

// Blocks until `mayfly up` has ended. One at a time.
StormReport RunStorm(const StormOptions& options);

}  // namespace mayfly::chaos
