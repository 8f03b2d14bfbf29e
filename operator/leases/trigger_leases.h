// TriggerLeases are the leases of all triggers that must have one owner: a LeaseBook with a clock, a lock, metrics and a log.
//
// What gateways say comes in by Observe(), what functions have by Stamp(), which writes into a route whose each trigger is.
// Whoever publishes routes takes what has changed from TakeNews(), and answers gateways after that: a gateway that hears of its
// term has heard before of all that it was given and not given.
//
// Thread-safe; no call blocks.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/metrics.h"
#include "mayfly/v1/control.pb.h"
#include "operator/leases/lease_book.h"

namespace mayfly::op {

// Whether one gateway alone may have the source of a trigger of this kind.
bool NeedsOneOwner(const v1::EventTrigger& trigger);

class TriggerLeases {
 public:
  // `clock` and `metrics` must outlive it.
  TriggerLeases(LeaseOptions options, const base::Clock& clock, base::Metrics& metrics);

  void Observe(const v1::GatewayReport& report);

  // Writes the owners of the route's triggers into it; those it does not have are not leased any more.
  void Stamp(v1::FunctionRoute* route);
  // The function has no triggers any more.
  void Remove(const std::string& function);
  // What was stamped last for `function` is in update `version`.
  void Published(const std::string& function, std::uint64_t version);

  struct News {
    std::set<std::string> functions;             // whose triggers' owners are not as they were stamped
    std::map<std::string, v1::LeaseTerm> terms;  // for gateways that have asked, by name
  };
  // Waits for news until `stop` is requested.
  News AwaitNews(const std::stop_token& stop);

  std::uint64_t epoch() const { return epoch_; }

 private:
  // All REQUIRE mutex_ held.
  void Decide(base::MonotonicTime now);
  void Tell(const LeaseChange& change);

  const base::Clock& clock_;
  const std::uint64_t epoch_;
  prometheus::Gauge& owned_;
  prometheus::Gauge& unowned_;
  prometheus::Counter& lapsed_;
  prometheus::Counter& given_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  LeaseBook book_;  // guarded by mutex_
  News news_;       // guarded by mutex_
};

}  // namespace mayfly::op
