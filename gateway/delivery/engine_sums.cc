// What a DeliveryEngine tells of its events: sums and metrics.
#include "gateway/delivery/delivery_engine.h"

namespace mayfly::gateway {

void DeliveryEngine::Publish() {
  std::map<TriggerKey, EventSums> sums;
  const auto add = [&](const TriggerState& state) {
    EventSums& sum = sums[state.key];
    const TriggerState before = sum.state;
    // Of several, the one that is not retiring is the last.
    sum.state = state;
    sum.state.accepted += before.accepted;
    sum.state.settled += before.settled;
    sum.state.parked += before.parked;
    sum.state.pending += before.pending;
    sum.state.duplicates += before.duplicates;
    sum.state.released += before.released;
    sum.state.lost += before.lost;
    sum.state.retries += before.retries;
    sum.state.in_memory += before.in_memory;
    sum.state.running += before.running;
  };
  for (const auto& [key, state] : gone_) add(state);
  for (const Retired& retired : retired_) add(retired.trigger->state());
  for (const auto& [name, function] : functions_) {
    for (const auto& [trigger, delivery] : function.triggers) add(delivery->state());
  }
  for (const auto& [key, counts] : counts_) sums[key].state.key = key;
  std::vector<EventSums> list;
  list.reserve(sums.size());
  for (auto& [key, sum] : sums) {
    const auto counts = counts_.find(key);
    const TriggerCounts stored = counts == counts_.end() ? TriggerCounts() : counts->second;
    sum.accepted = sum.state.accepted - sum.state.parked + stored.accepted;
    sum.settled = sum.state.settled + stored.settled;
    sum.dead_lettered = stored.dead_lettered;
    sum.pending = sum.state.pending + stored.pending;
    const base::Metrics::Labels labels = {{"function", key.function}, {"trigger", key.trigger}};
    EventSums& before = exported_[key];
    const auto count = [&](const char* name, const char* help, std::uint64_t now, std::uint64_t then) {
      if (now > then) metrics_.Counter(name, help, labels).Increment(static_cast<double>(now - then));
    };
    count("mayfly_events_accepted_total", "Events taken in.", sum.accepted, before.accepted);
    count("mayfly_events_settled_total", "Events that had their outcome, dead letters apart.", sum.settled,
          before.settled);
    count("mayfly_events_duplicates_total", "Events that came again, and were handled once.",
          sum.state.duplicates, before.state.duplicates);
    count("mayfly_events_released_total", "Events given back to their source without an outcome.",
          sum.state.released, before.state.released);
    count("mayfly_events_lost_total", "Events that their source had handed out, and does not have any more.",
          sum.state.lost, before.state.lost);
    count("mayfly_event_retries_total", "Deliveries that failed and are tried again.", sum.state.retries,
          before.state.retries);
    metrics_.Gauge("mayfly_events_dead_lettered", "Dead letters that are kept.", labels)
        .Set(static_cast<double>(sum.dead_lettered));
    metrics_.Gauge("mayfly_events_pending", "Events taken in and without an outcome yet.", labels)
        .Set(static_cast<double>(sum.pending));
    before = sum;
    list.push_back(sum);
  }
  const std::lock_guard lock(sums_mutex_);
  sums_ = std::move(list);
}

std::vector<EventSums> DeliveryEngine::Sums() const {
  const std::lock_guard lock(sums_mutex_);
  return sums_;
}

}  // namespace mayfly::gateway
