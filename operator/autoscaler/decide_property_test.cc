// What Decide() promises for every load, not only for those in the table.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "operator/autoscaler/decide.h"

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

const base::MonotonicTime kStart{1h};

ScalingSpec AnySpec() {
  ScalingSpec spec;
  spec.min_replicas = *rc::gen::inRange(0, 4);
  spec.max_replicas = *rc::gen::inRange(1, 200);
  spec.target_utilization = *rc::gen::inRange(1, 101);
  spec.slots = *rc::gen::inRange(1, 100);
  spec.scale_to_zero_after = std::chrono::seconds(*rc::gen::inRange(1, 120));
  return spec;
}

std::vector<double> AnyDemand(std::size_t count) {
  std::vector<double> demand(count);
  for (double& value : demand) value = *rc::gen::inRange(0, 1000);
  return demand;
}

Load LoadOf(const std::vector<double>& demand, std::int32_t current, base::MonotonicTime now) {
  Load load;
  for (std::size_t i = 0; i < demand.size(); ++i) {
    load.history.Add(
        {.at = now - std::chrono::seconds(demand.size() - 1 - i), .demand = demand[i], .known = true});
  }
  load.demand = demand.empty() ? 0 : demand.back();
  load.current = current;
  load.last_active = now;
  return load;
}

// Runs Decide() tick after tick, as the scaler does.
class Simulation {
 public:
  Simulation(ScalingSpec spec, std::int32_t current) : spec_(spec) {
    load_.current = current;
    load_.last_active = now_;
  }

  std::int32_t Tick(std::optional<double> demand) {
    now_ += 1s;
    load_.demand = demand;
    load_.history.Add({.at = now_, .demand = demand.value_or(0), .known = demand.has_value()});
    if (!demand || *demand > 0) load_.last_active = now_;
    const Decision decision = Decide(load_, spec_, ScalingRules(), now_);
    if (decision.desired < load_.current) load_.last_shrink = now_;
    load_.current = decision.desired;
    return decision.desired;
  }

 private:
  ScalingSpec spec_;
  Load load_;
  base::MonotonicTime now_ = kStart;
};

RC_GTEST_PROP(DecidePropertyTest, StaysWithinTheBounds, ()) {
  const ScalingSpec spec = AnySpec();
  const auto demand = AnyDemand(*rc::gen::inRange(0, 32));
  const Decision decision =
      Decide(LoadOf(demand, *rc::gen::inRange(0, 300), kStart), spec, ScalingRules(), kStart);
  RC_ASSERT(decision.desired >= spec.min_replicas);
  RC_ASSERT(decision.desired <= std::max(spec.min_replicas, spec.max_replicas));
}

RC_GTEST_PROP(DecidePropertyTest, WantsWhatItWouldWantWithoutAScheduleOrTheSchedulesFloorIfThatIsMore, ()) {
  const ScalingSpec spec = AnySpec();
  Load load = LoadOf(AnyDemand(*rc::gen::inRange(0, 32)), *rc::gen::inRange(0, 300), kStart);
  const std::int32_t without = Decide(load, spec, ScalingRules(), kStart).desired;
  load.floor.replicas = *rc::gen::inRange(0, 250);
  const std::int32_t most = std::max(spec.min_replicas, spec.max_replicas);
  RC_ASSERT(Decide(load, spec, ScalingRules(), kStart).desired ==
            std::max(without, std::min(load.floor.replicas, most)));
}

RC_GTEST_PROP(DecidePropertyTest, WantsNoFewerForMoreLoad, ()) {
  ScalingSpec spec = AnySpec();
  const auto demand = AnyDemand(*rc::gen::inRange(1, 32));
  auto more = demand;
  for (double& value : more) value += *rc::gen::inRange(0, 500);
  const std::int32_t current = *rc::gen::inRange(0, 200);
  const Decision less_load = Decide(LoadOf(demand, current, kStart), spec, ScalingRules(), kStart);
  const Decision more_load = Decide(LoadOf(more, current, kStart), spec, ScalingRules(), kStart);
  RC_ASSERT(more_load.desired >= less_load.desired);
}

RC_GTEST_PROP(DecidePropertyTest, NeverShrinksOnWhatIsUnknown, ()) {
  ScalingSpec spec = AnySpec();
  Load load =
      LoadOf(AnyDemand(*rc::gen::inRange(0, 32)), *rc::gen::inRange(0, spec.max_replicas + 1), kStart);
  load.last_active = kStart - std::chrono::seconds(*rc::gen::inRange(0, 1000));
  load.demand.reset();
  RC_ASSERT(Decide(load, spec, ScalingRules(), kStart).desired >= load.current);
}

RC_GTEST_PROP(DecidePropertyTest, NeverTakesAwayMoreThanHalfUnlessIdle, ()) {
  ScalingSpec spec = AnySpec();
  const std::int32_t current = *rc::gen::inRange(1, spec.max_replicas + 1);
  const Load load = LoadOf(AnyDemand(*rc::gen::inRange(1, 32)), current, kStart);
  RC_ASSERT(Decide(load, spec, ScalingRules(), kStart).desired >= current / 2);
}

RC_GTEST_PROP(DecidePropertyTest, DoesNotFlapUnderNoiseOfTenPercent, ()) {
  ScalingSpec spec = AnySpec();
  spec.min_replicas = 0;
  const double level = *rc::gen::inRange(1, 2000);
  Simulation simulation(spec, 1);
  std::int32_t before = 1;
  bool grew = false;
  for (int tick = 0; tick < 200; ++tick) {
    const double noise = *rc::gen::inRange(-100, 101) / 1000.0;
    const std::int32_t desired = simulation.Tick(level * (1 + noise));
    if (desired > before) grew = true;
    if (grew) RC_ASSERT(desired >= before);
    before = desired;
  }
}

RC_GTEST_PROP(DecidePropertyTest, ReachesZeroWhenIdle, ()) {
  ScalingSpec spec = AnySpec();
  spec.min_replicas = 0;
  Simulation simulation(spec, *rc::gen::inRange(1, spec.max_replicas + 1));
  const int busy = *rc::gen::inRange(0, 60);
  for (int tick = 0; tick < busy; ++tick) simulation.Tick(*rc::gen::inRange(1, 500));
  const auto patience = std::chrono::duration_cast<std::chrono::seconds>(spec.scale_to_zero_after).count();
  std::int32_t desired = -1;
  for (std::int64_t tick = 0; tick <= patience; ++tick) desired = simulation.Tick(0);
  RC_ASSERT(desired == 0);
}

RC_GTEST_PROP(DecidePropertyTest, ComesToRestNearWhatAConstantLoadNeeds, ()) {
  ScalingSpec spec = AnySpec();
  spec.min_replicas = 0;
  const double level = *rc::gen::inRange(1, 2000);
  Simulation simulation(spec, *rc::gen::inRange(0, spec.max_replicas + 1));
  std::int32_t desired = 0;
  for (int tick = 0; tick < 150; ++tick) desired = simulation.Tick(level);
  const std::int32_t rest = desired;
  for (int tick = 0; tick < 60; ++tick) RC_ASSERT(simulation.Tick(level) == rest);
  const double needed = std::ceil(level / spec.TargetPerReplica() - 1e-9);
  RC_ASSERT(rest >= std::min<double>(needed, spec.max_replicas));
  RC_ASSERT(rest <= std::max(1.0, std::ceil(needed * 1.25) + 1));
}

}  // namespace
}  // namespace mayfly::op
