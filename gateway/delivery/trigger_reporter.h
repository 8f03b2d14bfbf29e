// A TriggerReporter tells the operator how many events wait for each trigger, and which triggers get none.
//
// A backlog that leaves zero and a problem that changes are told at once; otherwise what has changed is gathered for 100 ms,
// and what waits, or is not known, is told again every second. A trigger at rest costs nothing.
//
// Belongs to the engine's thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/clock.h"
#include "gateway/sources/trigger_key.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

class TriggerReporter {
 public:
  using Report = std::function<void(const std::vector<v1::TriggerReport>&)>;

  // Without one nothing is told. `report` must not block.
  void OnReport(Report report) { report_ = std::move(report); }

  // What is so now of one trigger.
  void Look(const TriggerKey& key, v1::TriggerReport now);
  // There is no such trigger any more.
  void Gone(const TriggerKey& key);

  // Tells what is due; returns when to come again.
  std::optional<base::MonotonicTime> Send(base::MonotonicTime now);

 private:
  static constexpr std::chrono::milliseconds kGather{100};
  static constexpr std::chrono::milliseconds kRepeat{1000};

  struct Known {
    v1::TriggerReport report;
    base::MonotonicTime told_at{};
    bool told = false;
    bool changed = true;
    bool urgent = true;
  };

  Report report_;
  std::map<TriggerKey, Known> known_;
  std::set<TriggerKey> restless_;  // of known_: changed, or to be told again
};

}  // namespace mayfly::gateway
