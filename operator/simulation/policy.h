// A ScalingPolicy says how many replicas there should be: Mayfly's own autoscaler, or what others publish of theirs.
//
// A policy sees what its autoscaler would see, when it would see it, and nothing else. Times are simulated.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "operator/autoscaler/decide.h"
#include "operator/simulation/workload.h"

namespace mayfly::op {

// When a simulation begins unless somebody says otherwise: 2026-01-05T00:00:00Z.
inline constexpr base::WallTime kMonday{std::chrono::seconds(1767571200)};

struct SimDemand {
  std::int32_t busy = 0;    // invocations that run
  std::int32_t held = 0;    // requests that wait
  std::uint64_t taken = 0;  // requests so far
  std::uint64_t ended = 0;  // invocations that have ended so far, and what they took together
  SimSeconds ended_seconds = 0;
  std::int32_t total() const { return busy + held; }
};

class ScalingPolicy {
 public:
  virtual ~ScalingPolicy() = default;

  virtual std::string_view name() const = 0;
  // How often Look() is called.
  virtual SimSeconds period() const = 0;
  // Demand has left zero: what is desired now.
  virtual std::int32_t OnDemand(SimSeconds now, const SimDemand& demand) = 0;
  // `mean`: the mean of busy + held since the last look. `ready`: replicas that serve. What is desired now.
  virtual std::int32_t Look(SimSeconds now, const SimDemand& demand, double mean, std::int32_t ready) = 0;
};

// Scaler and Decide() as the operator runs them, fed as a gateway feeds them: at once from zero, else every 100 ms. The
// simulation begins at `start`, by which the spec's schedules go.
std::unique_ptr<ScalingPolicy> MakeMayflyPolicy(const ScalingSpec& spec, base::WallTime start = kMonday);

// Knative's pod autoscaler with its defaults (knative.dev/docs/serving/autoscaling): stable window 60 s, panic window 6 s,
// panic at twice what is ready, no shrinking while in panic, growth at most 1,000-fold and shrinking at most by half a
// look, a look every 2 s, to zero after a stable window without demand and the grace period of 30 s.
std::unique_ptr<ScalingPolicy> MakeKnativePolicy(const ScalingSpec& spec);

// A HorizontalPodAutoscaler fed by KEDA, with their defaults (keda.sh/docs/concepts/scaling-deployments,
// kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale): KEDA looks every 30 s and starts the first replica, which
// leaves 300 s after the last demand; the HPA looks every 15 s, tolerates 10 %, at most doubles or adds four, and
// shrinks to the highest it wanted within 300 s.
std::unique_ptr<ScalingPolicy> MakeHpaKedaPolicy(const ScalingSpec& spec);

// By name: mayfly, knative, hpa-keda. kInvalidArgument lists them.
// Of others, none looks at the spec's schedules.
absl::StatusOr<std::unique_ptr<ScalingPolicy>> MakePolicy(std::string_view name, const ScalingSpec& spec,
                                                          base::WallTime start = kMonday);
std::vector<std::string> PolicyNames();

}  // namespace mayfly::op
