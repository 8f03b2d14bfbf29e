// A Scaler keeps, for every function, the demand that gateways report, and asks Decide() what should follow.
//
// It is fed by reports (pushed) and by a tick; it never asks anybody. A function that is at zero with no
// demand is not looked at by a tick and has no history: ten thousand idle functions cost a few bytes each. One with
// schedules has the time compared that is written down as their next change.
//
// What is known: a gateway that said "nothing" has nothing until it says otherwise (it promises to push the
// moment that changes). One that said "something" repeats it every second; when it has been silent for
// kStaleAfter, the demand is unknown, and unknown is not zero. What a gateway wanted that is gone (its last
// report says so) counts no more. While no gateway is known, everything is unknown. Backlogs of triggers go the same way;
// gateways see the same source, so that of several backlogs of one trigger the largest counts.
//
// Thread-safe; no call blocks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "mayfly/v1/control.pb.h"
#include "operator/autoscaler/decide.h"
#include "operator/autoscaler/service_time.h"

namespace mayfly::op {

struct TimedDecision {
  base::WallTime time;
  Decision decision;
};

// What a decision about a function would look at now.
struct ScalerView {
  ScalingSpec spec;
  Load load;
  DecisionInputs inputs;
  bool active = false;  // it has demand or replicas, or had a moment ago
};

class Scaler {
 public:
  static constexpr std::chrono::seconds kStaleAfter{5};
  static constexpr std::size_t kDecisionsKept = 32;
  static constexpr std::size_t kSlices = 20;

  // All that is referred to must outlive the scaler.
  Scaler(const base::Clock& clock, base::Metrics& metrics, ScalingRules rules);

  // Tells what the manifest says. Returns what is desired from now on; bounds hold at once.
  std::int32_t Configure(const std::string& function, const ScalingSpec& spec);
  // Replicas of `function` were found that this scaler never asked for (the operator was restarted): they
  // count as desired until a decision says otherwise, and as active until now.
  void Adopt(const std::string& function, std::int32_t replicas);
  void Forget(const std::string& function);

  // Takes in a gateway's report. Returns the functions whose desired number changed at once (from zero).
  std::vector<std::string> Observe(const v1::GatewayReport& report);
  // Opens and closes the windows of schedules, closes one sample per active function of one slice (0 … kSlices - 1) and decides. Returns the functions whose
  // desired number changed. Slices that are ticked one after the other, each once per ScalingRules::tick, spread what
  // follows from decisions: functions that all fell idle at once do not all leave in the same millisecond, on the cores
  // that a cold start needs.
  std::vector<std::string> Tick(std::size_t slice);
  // Every slice at once.
  std::vector<std::string> Tick();

  // Nothing if the function is not configured. Decides nothing.
  std::optional<ScalerView> Look(const std::string& function) const;
  // The decision in force; nothing if the function is not configured.
  std::optional<Decision> Latest(const std::string& function) const;
  // The last decisions that differed from the one before, oldest first.
  std::vector<TimedDecision> Recent(const std::string& function) const;
  // When anybody first waited while there was no replica; nothing if that is not so now. For the cold start's
  // clock.
  std::optional<base::MonotonicTime> Activation(const std::string& function) const;

  std::size_t active() const;

 private:
  struct GatewayDemand {
    std::string gateway;
    std::uint64_t busy = 0;
    std::uint64_t held = 0;
    // Since the gateway's process started:
    std::uint64_t accepted_total = 0;
    std::uint64_t invocations = 0;
    std::uint64_t wall_us = 0;
    base::MonotonicTime at;

    std::uint64_t all() const { return busy + held; }
  };
  struct GatewayTrigger {
    std::string gateway;
    v1::TriggerReport report;
    base::MonotonicTime at;
  };
  // What only a function with demand or replicas has.
  struct Active {
    Load load;
    // Since `sample_begin`:
    double busy_area = 0;  // invocations × seconds, up to `area_until`
    double held_area = 0;
    std::uint64_t arrived = 0;
    std::uint64_t ended = 0;
    double ended_seconds = 0;
    base::MonotonicTime sample_begin;
    base::MonotonicTime area_until;
    std::optional<base::MonotonicTime> from_zero;
  };
  struct Entry {
    std::optional<ScalingSpec> spec;
    ScheduledFloor floor{.holds_until = absl::InfinitePast()};
    std::vector<GatewayDemand> demand;
    std::vector<GatewayTrigger> triggers;
    ServiceTime service_time;
    std::unique_ptr<Active> active;
    std::optional<Decision> latest;
    std::deque<TimedDecision> recent;
  };

  static std::size_t SliceOf(const std::string& function);
  std::optional<double> DemandLocked(const Entry& entry, base::MonotonicTime now) const;
  double RawDemandLocked(const Entry& entry) const;
  // Takes in what a gateway says of one function; whether the desired number changed.
  bool ObserveDemandLocked(const std::string& gateway, const v1::Demand& demand, base::MonotonicTime now);
  void CloseSampleLocked(Entry& entry, bool known, base::MonotonicTime now) const;
  std::vector<TriggerLoad> TriggersLocked(const Entry& entry, base::MonotonicTime now) const;
  // Takes in what a gateway says of one trigger; whether the desired number changed.
  bool ObserveTriggerLocked(const std::string& gateway, const v1::TriggerReport& report,
                            base::MonotonicTime now);
  Active& ActivateLocked(const std::string& function, Entry& entry, base::MonotonicTime now);
  // What the function's schedules say now; looked up anew only when that may have changed.
  const ScheduledFloor& FloorLocked(Entry& entry) const;
  // Decides; whether the desired number changed.
  bool DecideLocked(Entry& entry, base::MonotonicTime now);
  void AccrueLocked(Entry& entry, base::MonotonicTime now);

  const base::Clock& clock_;
  base::Metrics& metrics_;
  const ScalingRules rules_;

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;  // guarded by mutex_
  // Guarded by mutex_; by slice, the keys of entries_ that have `active`.
  std::array<std::unordered_set<std::string>, kSlices> active_;
  // Guarded by mutex_; by slice, the keys of entries_ that have schedules.
  std::array<std::unordered_set<std::string>, kSlices> scheduled_;
  std::unordered_set<std::string> gateways_;  // guarded by mutex_; all that were heard of
};

}  // namespace mayfly::op
