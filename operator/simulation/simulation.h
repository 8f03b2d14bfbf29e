// Simulate() runs a workload against a policy and the life of replicas, and says what it cost and who waited.
//
// Replicas are started, ready after `startup`, chosen for a request by free slots, and end after their last invocation
// once they are taken away; those that are not ready, then those that are idle, are taken away first. A request
// that finds no free slot is held, in order, and fails after `timeout`. Deterministic.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operator/simulation/policy.h"

namespace mayfly::op {

struct SimOptions {
  std::int32_t slots = 10;  // of a replica
  SimSeconds startup = 2;   // from the decision to ready
  SimSeconds timeout = 30;  // of a request, from its arrival
};

// As of one second of the simulation.
struct SimMoment {
  SimSeconds at = 0;
  float demand = 0;  // busy + held, the mean of the second
  std::int32_t desired = 0;
  std::int32_t ready = 0;
  std::int32_t held = 0;
};

struct SimResult {
  std::string policy;
  std::uint64_t requests = 0;
  std::uint64_t waited = 0;  // more than a millisecond for a slot
  std::uint64_t failed = 0;  // waited until their timeout
  double replica_seconds = 0;
  double busy_seconds =
      0;  // of replicas' slots, divided by the slots: what would do if nothing were ever idle
  SimSeconds wait_p50 = 0, wait_p95 = 0, wait_p99 = 0, wait_max = 0;
  std::int32_t most_replicas = 0;
  // How often replicas were added within a minute after some were taken away.
  std::uint64_t flaps = 0;
  std::vector<SimMoment> moments;
};

SimResult Simulate(const Workload& workload, ScalingPolicy& policy, const SimOptions& options);

}  // namespace mayfly::op
