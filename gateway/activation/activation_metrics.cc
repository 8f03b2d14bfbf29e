#include "gateway/activation/activation_metrics.h"

namespace mayfly::gateway {

void ActivationMetrics::Resolve(base::Metrics& metrics, const std::string& function) {
  if (held != nullptr) return;
  const base::Metrics::Labels labels = {{"function", function}};
  const auto buckets = base::Metrics::LatencyBuckets();
  held = &metrics.Gauge("mayfly_held_requests", "Requests that wait for a slot.", labels);
  inflight =
      &metrics.Gauge("mayfly_inflight", "Slots of replicas that this gateway's requests take.", labels);
  accepted = &metrics.Counter("mayfly_accepted_total", "Requests taken: held or given to a replica.", labels);
  refused = &metrics.Counter("mayfly_hold_refused_total", "Requests refused as too many waited.", labels);
  sent_again = &metrics.Counter("mayfly_resend_total",
                                "Invocations sent again as a replica surely had not started them.", labels);
  replica_lost =
      &metrics.Counter("mayfly_replica_lost_total",
                       "Invocations that ended as their replica was lost and may have started them.", labels);
  timed_out =
      &metrics.Counter("mayfly_silent_timeout_total",
                       "Invocations ended by the gateway as the replica did not end them in time.", labels);
  held_for =
      &metrics.Histogram("mayfly_hold_duration_seconds",
                         "How long requests waited for a slot, of those that had to.", labels, buckets);
  cold_wait = &metrics.Histogram("mayfly_cold_start_wait_seconds",
                                 "How long requests waited that found the function without any replica.",
                                 labels, buckets);
}

}  // namespace mayfly::gateway
