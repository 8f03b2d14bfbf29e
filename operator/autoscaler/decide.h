// How many replicas a function should have: one pure function over what its load was.
//
// Decide() follows the published rules of Knative's autoscaler (knative.dev/docs/serving/autoscaling:
// "Concurrency", "Scale bounds", "Additional autoscaling configuration": a stable and a panic window over the
// mean of concurrent requests, a target utilisation, a limit on growth per tick), with these differences:
//
//   unknown is not zero   while a gateway's demand is not known the number may grow but not shrink, and no
//   replica is
//                         ever taken away without a whole stable window of known samples
//   asymmetric            it grows at once, but shrinks to fit the *highest* burst window of the last stable
//   window,
//                         only if a quarter of the replicas would be too many, by half at most, and every ten
//                         seconds at most. So noise of ±10 % never makes it shrink after it grew
//   burst                 replaces Knative's panic mode: if the load of the last seconds takes every slot, those
//                         seconds decide instead of the stable window; or the last two ticks, if both say more
//   backlog               events that wait at a trigger's source, or are unsettled, need replicas of their own accord:
//                         the trigger that needs most decides if that is more. While a source does not say how many
//                         wait, nothing is taken away
//   schedules             in a window of time the floor is higher; what is below it waits for nothing
//   zero                  only when nothing was busy or held for scaleToZeroAfter, and nothing waits or is unsettled.
//                         From zero it goes to one at once; what one replica cannot take is seen a tick later
//
// Pure and thread-free: time and history are arguments. Cost: O(samples), at most 32.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/autoscaler/floor_schedule.h"

namespace mayfly::op {

// The rules that are the same for every function.
struct ScalingRules {
  std::chrono::nanoseconds tick = std::chrono::seconds(1);
  std::chrono::nanoseconds stable_window = std::chrono::seconds(30);
  std::chrono::nanoseconds burst_window = std::chrono::seconds(6);
  std::chrono::nanoseconds shrink_interval = std::chrono::seconds(10);
  std::chrono::nanoseconds drain = std::chrono::seconds(4);  // in which what waits should be gone
  double most_growth = 10.0;                                 // per tick, as a factor
  double shrink_slack = 1.25;   // shrink only if the load, times this, would fit in fewer replicas
  double shrink_reserve = 1.1;  // … and then to what the load, times this, needs
};

// What a function's manifest says about scaling.
struct ScalingSpec {
  std::int32_t min_replicas = 0;
  std::int32_t max_replicas = 20;
  std::int32_t target_utilization = 70;  // percent
  std::int32_t slots = 10;               // per replica
  std::chrono::nanoseconds scale_to_zero_after = std::chrono::seconds(60);
  // How many waiting events one replica is for, by trigger; for others, as many as it has slots.
  std::map<std::string, double> backlog_per_replica{};
  std::vector<FloorSchedule> schedules{};  // Load::floor is what they say now

  double BacklogPerReplica(const std::string& trigger) const;
  // The concurrent invocations that one replica should have.
  double TargetPerReplica() const;
};

// The mean demand over one tick that ended at `at` and took `seconds`: what ran, and what waited by its worth (service_time.h).
struct Sample {
  base::MonotonicTime at;
  double demand = 0;
  bool known = true;
  double seconds = 1;  // the first one of a function that has just become active is short
};

// The last samples, oldest first. A ring of fixed size: 32 ticks.
class SampleHistory {
 public:
  static constexpr std::size_t kCapacity = 32;

  void Add(const Sample& sample);
  std::size_t size() const { return size_; }
  // REQUIRES: index < size(). 0 is the oldest.
  const Sample& operator[](std::size_t index) const;

 private:
  std::array<Sample, kCapacity> ring_{};
  std::size_t next_ = 0;
  std::size_t size_ = 0;
};

// What waits for one trigger, over all gateways.
struct TriggerLoad {
  std::string trigger;
  std::uint64_t waiting = 0;  // as far as it is known
  bool known = true;
  std::string why_unknown;  // the source's words; may be empty
};

// All that a decision looks at.
struct Load {
  SampleHistory history{};
  // Busy + held now, over all gateways; nothing if a gateway's demand is not known.
  std::optional<double> demand{};
  // What was desired until now.
  std::int32_t current = 0;
  // The last instant at which anything was busy or held, or at which that was not known.
  base::MonotonicTime last_active{};
  std::optional<base::MonotonicTime> last_shrink{};
  std::vector<TriggerLoad> triggers{};
  ScheduledFloor floor{};

  // Whether an event waits, or may wait, for all that is known.
  bool events() const;
};

struct DecisionInputs {
  double demand = 0;
  bool known = true;
  double stable_average = 0;
  double burst_average = 0;
  double recent_peak = 0;  // the highest burst window within the stable window
  double target_per_replica = 0;
  std::int32_t current = 0;
  // The trigger whose backlog needs most replicas; "": nothing waits.
  std::string trigger{};
  std::uint64_t backlog = 0;
  double backlog_per_replica = 0;
  // The schedule whose window is open; "": none.
  std::string schedule{};
  std::int32_t scheduled = 0;  // its floor
};

struct Decision {
  std::int32_t desired = 0;
  // One CamelCase word: FromZero, Stable, Burst, Backlog, Steady, Shrink, Idle, Scheduled, Unknown, …
  std::string reason;
  // A sentence for status and `mayfly why`.
  std::string message;
  DecisionInputs inputs;
};

Decision Decide(const Load& load, const ScalingSpec& spec, const ScalingRules& rules,
                base::MonotonicTime now);

}  // namespace mayfly::op
