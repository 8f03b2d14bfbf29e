// One function's metrics at this gateway, resolved at its first invocation: a function at rest has none.
#pragma once

#include <string>

#include "base/metrics.h"

namespace mayfly::gateway {

struct ActivationMetrics {
  // Resolves what is not yet.
  void Resolve(base::Metrics& metrics, const std::string& function);

  prometheus::Gauge* held = nullptr;
  prometheus::Gauge* inflight = nullptr;
  prometheus::Counter* accepted = nullptr;
  prometheus::Counter* refused = nullptr;
  prometheus::Counter* sent_again = nullptr;
  prometheus::Counter* replica_lost = nullptr;
  prometheus::Counter* timed_out = nullptr;
  prometheus::Histogram* held_for = nullptr;
  prometheus::Histogram* cold_wait = nullptr;
};

}  // namespace mayfly::gateway
