// A pod as far as the operator looks at it.
#pragma once

#include <chrono>
#include <string>

#include "operator/controller/cluster.h"
#include "operator/kube/json.h"

namespace mayfly::op {

struct PodView {
  std::string space;
  std::string name;
  std::string function;  // its name, out of the label
  std::string pool;      // the pool's that it waits in, out of the label; "" if it is a function's
  std::string owner;     // uid of the Function or the pool
  ReplicaPhase phase = ReplicaPhase::kStarting;
  std::string ip;
  std::string replica_template;  // out of the annotation
  bool pooled = false;           // it was made for a pool, whosever it is now
  // Why it does not start, or how it ended: in the kubelet's or the scheduler's own words.
  std::string reason;
  std::string message;

  bool operator==(const PodView&) const = default;
};

// REQUIRES: `pod` is a Pod, as the API server validated it.
PodView ReadPod(const kube::JsonView& pod);

}  // namespace mayfly::op
