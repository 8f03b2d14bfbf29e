#include "operator/autoscaler/decide.h"

#include <gtest/gtest.h>

#include <vector>

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

const base::MonotonicTime kNow{1h};

// A load whose demand was `demand` at each of the last `seconds` ticks.
Load Constant(double demand, int seconds, std::int32_t current) {
  Load load;
  for (int i = seconds - 1; i >= 0; --i) {
    load.history.Add({.at = kNow - std::chrono::seconds(i), .demand = demand, .known = true});
  }
  load.demand = demand;
  load.current = current;
  load.last_active = kNow;
  return load;
}

struct Row {
  const char* name;
  Load load;
  ScalingSpec spec;
  std::int32_t desired;
  const char* reason;
};

Load With(Load load, auto change) {
  change(load);
  return load;
}

// The load, and events that wait at the trigger "orders".
Load Events(Load load, std::uint64_t waiting, bool known = true) {
  load.triggers.push_back({"orders", waiting, known, known ? "" : "connection refused"});
  return load;
}

// The load, in a window of the schedule "office" that keeps `replicas`.
Load Scheduled(Load load, std::int32_t replicas) {
  load.floor.replicas = replicas;
  load.floor.schedule = "office";
  load.floor.until = absl::FromUnixSeconds(1'772'470'800);
  absl::LoadTimeZone("Europe/Paris", &load.floor.zone);
  return load;
}

TEST(DecideTest, FollowsItsTable) {
  const ScalingSpec plain;  // 0..20 replicas of 10 slots, 70 %: 7 each
  const std::vector<Row> rows = {
      {"nothing ever", Load{.demand = 0}, plain, 0, "Idle"},
      {"one waits at zero", Load{.demand = 1}, plain, 1, "FromZero"},
      {"many wait at zero: one replica first, the rest a tick later", Load{.demand = 500}, plain, 1,
       "FromZero"},
      {"what one replica should have", Constant(7, 30, 1), plain, 1, "Steady"},
      {"a little more than one should have", Constant(7.5, 30, 1), plain, 2, "Stable"},
      {"a burst takes every slot", Constant(40, 2, 1), plain, 6, "Burst"},
      {"a burst is believed after two ticks of it",
       With(Constant(5, 28, 1),
            [](Load& load) {
              for (const auto ago : {1s, 0s})
                load.history.Add({.at = kNow - ago, .demand = 70, .known = true});
            }),
       plain, 10, "Burst"},
      {"one tick of it is not believed",
       With(Constant(5, 29, 1),
            [](Load& load) { load.history.Add({.at = kNow, .demand = 70, .known = true}); }),
       plain, 3, "Burst"},
      {"a moment counts as what it is",
       With(
           Constant(7, 5, 1),
           [](Load& load) { load.history.Add({.at = kNow, .demand = 500, .known = true, .seconds = 0.01}); }),
       plain, 2, "Stable"},
      {"growth is limited to tenfold", Constant(5000, 2, 1), {.max_replicas = 1000}, 10, "Burst"},
      {"growth is limited by maxReplicas", Constant(5000, 2, 10), plain, 20, "AtMaximum"},
      {"a little too many stay", Constant(60, 30, 10), plain, 10, "Steady"},
      {"far too many shrink by half", Constant(7, 30, 10), plain, 5, "Shrink"},
      {"too many shrink to what is needed", Constant(35, 30, 8), plain, 6, "Shrink"},
      {"no shrink without a whole window", Constant(7, 12, 10), plain, 10, "NoHistory"},
      {"no shrink sooner than ten seconds after the last",
       With(Constant(7, 30, 10), [](Load& load) { load.last_shrink = kNow - 9s; }), plain, 10, "Steady"},
      {"shrink again ten seconds after the last",
       With(Constant(7, 30, 10), [](Load& load) { load.last_shrink = kNow - 10s; }), plain, 5, "Shrink"},
      {"unknown holds", With(Constant(7, 30, 10), [](Load& load) { load.demand.reset(); }), plain, 10,
       "Unknown"},
      {"unknown in the window holds",
       With(Constant(7, 29, 10),
            [](Load& load) { load.history.Add({.at = kNow, .demand = 0, .known = false}); }),
       plain, 10, "NoHistory"},
      {"idle for less than scaleToZeroAfter",
       With(Constant(0, 30, 1), [](Load& load) { load.last_active = kNow - 59s; }), plain, 1, "Steady"},
      {"idle for scaleToZeroAfter",
       With(Constant(0, 30, 1), [](Load& load) { load.last_active = kNow - 60s; }), plain, 0, "Idle"},
      {"a short scaleToZeroAfter needs no whole window",
       With(Constant(0, 3, 4), [](Load& load) { load.last_active = kNow - 2s; }),
       {.scale_to_zero_after = 2s},
       0,
       "Idle"},
      {"idle and unknown holds",
       With(Constant(0, 30, 3),
            [](Load& load) {
              load.last_active = kNow - 60s;
              load.demand.reset();
            }),
       plain, 3, "Unknown"},
      {"never below minReplicas",
       With(Constant(0, 30, 2), [](Load& load) { load.last_active = kNow - 60s; }),
       {.min_replicas = 2},
       2,
       "AtMinimum"},
      {"minReplicas at once", Load{.demand = 0}, {.min_replicas = 3}, 3, "AtMinimum"},
      {"a window of a schedule opens", Scheduled(Load{.demand = 0}, 5), plain, 5, "Scheduled"},
      {"one that keeps fewer than minReplicas",
       Scheduled(Load{.demand = 0}, 2),
       {.min_replicas = 3},
       3,
       "AtMinimum"},
      {"one that keeps more than maxReplicas",
       Scheduled(Load{.demand = 0}, 30),
       {.max_replicas = 4},
       4,
       "Scheduled"},
      {"more load than the schedule foresaw", Scheduled(Constant(40, 2, 5), 3), plain, 6, "Stable"},
      {"idle within a window",
       Scheduled(With(Constant(0, 30, 5), [](Load& load) { load.last_active = kNow - 1h; }), 5), plain, 5,
       "Scheduled"},
      {"idle after it", With(Constant(0, 30, 5), [](Load& load) { load.last_active = kNow - 1h; }), plain, 0,
       "Idle"},
      {"a gateway is silent within a window", Scheduled(Load{.current = 2}, 5), plain, 5, "Scheduled"},
      {"a lowered maxReplicas at once", Constant(70, 30, 10), {.max_replicas = 4}, 4, "AtMaximum"},
      {"events wait at zero", Events(Load{.demand = 0}, 5'000), plain, 1, "FromZero"},
      {"events need more than the load does: 10 each", Events(Constant(7, 30, 1), 45), plain, 5, "Backlog"},
      {"growth for events is limited to tenfold",
       Events(Constant(7, 30, 1), 5'000),
       {.max_replicas = 1000},
       10,
       "Backlog"},
      {"the load needs more than the events do", Events(Constant(40, 2, 1), 30), plain, 6, "Burst"},
      {"a trigger that says how many one replica is for",
       Events(Constant(7, 30, 1), 450),
       {.backlog_per_replica = {{"orders", 100}}},
       5,
       "Backlog"},
      {"events that are waited for by as many as they need", Events(Constant(1, 30, 5), 45), plain, 5,
       "Steady"},
      {"no fewer than the events need", Events(Constant(1, 30, 10), 65), plain, 7, "Shrink"},
      {"not to zero while an event waits",
       Events(With(Constant(0, 30, 1), [](Load& load) { load.last_active = kNow - 60s; }), 1), plain, 1,
       "Steady"},
      {"not to zero while it is not known whether any wait",
       Events(With(Constant(0, 30, 1), [](Load& load) { load.last_active = kNow - 60s; }), 0, false), plain,
       1, "Unknown"},
      {"nothing is taken away while a backlog is not known", Events(Constant(7, 30, 10), 0, false), plain, 10,
       "Unknown"},
      {"a backlog of which more is not known makes it grow", Events(Constant(7, 30, 1), 45, false), plain, 5,
       "Backlog"},
      {"an unknown backlog starts nothing", Events(Load{.demand = 0}, 0, false), plain, 0, "Idle"},
      {"one slot per replica", Constant(3, 30, 1), {.target_utilization = 100, .slots = 1}, 3, "Burst"},
  };
  for (const Row& row : rows) {
    const Decision decision = Decide(row.load, row.spec, ScalingRules(), kNow);
    EXPECT_EQ(decision.desired, row.desired) << row.name << ": " << decision.message;
    EXPECT_EQ(decision.reason, row.reason) << row.name << ": " << decision.message;
    EXPECT_FALSE(decision.message.empty()) << row.name;
  }
}

TEST(DecideTest, ShrinksToFitTheHighestBurstOfTheStableWindow) {
  Load load = Constant(0, 30, 10);
  // A burst of 56 for six seconds, twenty seconds ago: eight replicas' worth.
  SampleHistory history;
  for (int i = 29; i >= 0; --i) {
    history.Add(
        {.at = kNow - std::chrono::seconds(i), .demand = i >= 15 && i < 21 ? 56.0 : 1.0, .known = true});
  }
  load.history = history;
  load.demand = 1;
  EXPECT_EQ(Decide(load, {}, ScalingRules(), kNow).desired, 10) << "the burst may come again";
  EXPECT_EQ(Decide(load, {}, ScalingRules(), kNow + 25s).reason, "NoHistory");
}

TEST(DecideTest, TellsWhatItSaw) {
  const Decision decision = Decide(Constant(40, 2, 1), {}, ScalingRules(), kNow);
  EXPECT_EQ(decision.message, "40.0 concurrent over 6 s take all 10 slots of 1; one replica should have 7.0");
  EXPECT_DOUBLE_EQ(decision.inputs.burst_average, 40);
  EXPECT_DOUBLE_EQ(decision.inputs.target_per_replica, 7);
  EXPECT_EQ(decision.inputs.current, 1);
}

TEST(DecideTest, TellsWhichScheduleItFollowsAndUntilWhen) {
  const Decision decision = Decide(Scheduled(Load{.demand = 0}, 5), {}, ScalingRules(), kNow);
  EXPECT_EQ(decision.message,
            "nothing runs or waits; schedule office keeps 5 until 2026-03-02T18:00:00+01:00");
  EXPECT_EQ(decision.inputs.schedule, "office");
  EXPECT_EQ(decision.inputs.scheduled, 5);
}

TEST(DecideTest, TellsWhichTriggersBacklogItFollows) {
  Load load = Events(Constant(7, 30, 1), 45);
  load.triggers.push_back({"returns", 12, true, ""});
  const Decision decision = Decide(load, {}, ScalingRules(), kNow);
  EXPECT_EQ(decision.message, "45 events wait or are unsettled at trigger orders; one replica is for 10");
  EXPECT_EQ(decision.inputs.trigger, "orders");
  EXPECT_EQ(decision.inputs.backlog, 45u);
  EXPECT_DOUBLE_EQ(decision.inputs.backlog_per_replica, 10);
}

TEST(DecideTest, TellsTheSourcesWordsWhereABacklogIsNotKnown) {
  EXPECT_EQ(
      Decide(Events(Constant(7, 30, 10), 0, false), {}, ScalingRules(), kNow).message,
      "how many events wait at trigger orders is not known (connection refused), so nothing is taken away");
}

}  // namespace
}  // namespace mayfly::op
