#include "gateway/control/report_merger.h"

#include <gtest/gtest.h>

namespace mayfly::gateway {
namespace {

v1::GatewayReport Wants(const std::string& function, std::uint32_t held, std::uint64_t version = 0) {
  v1::GatewayReport report;
  v1::Demand& demand = *report.add_demand();
  demand.set_function(function);
  demand.set_held(held);
  report.set_confirmed_version(version);
  return report;
}

TEST(ReportMerger, FirstTellsTheGatewaysName) {
  ReportMerger merger("gw-1");
  ASSERT_TRUE(merger.pending());
  EXPECT_EQ(merger.Take().gateway(), "gw-1");
  EXPECT_FALSE(merger.pending());
}

TEST(ReportMerger, KeepsTheNewestOfEachFunctionWhileNobodyListens) {
  ReportMerger merger("gw-1");
  for (std::uint32_t i = 1; i <= 1000; ++i) merger.Add(Wants("a", i, i));
  merger.Add(Wants("b", 7, 2000));
  const v1::GatewayReport report = merger.Take();
  ASSERT_EQ(report.demand_size(), 2);
  EXPECT_EQ(report.demand(0).held(), 1000u);
  EXPECT_EQ(report.confirmed_version(), 2000u);
  EXPECT_EQ(merger.Take().demand_size(), 0);
}

TEST(ReportMerger, TellsANewListenerTheNewestOfEachTriggerThatIsNotGone) {
  ReportMerger merger("gw-1");
  const auto says = [](const std::string& trigger, std::uint64_t backlog, bool gone) {
    v1::GatewayReport report;
    v1::TriggerReport& of = *report.add_triggers();
    of.set_function("a");
    of.set_trigger(trigger);
    of.set_backlog(backlog);
    of.set_gone(gone);
    return report;
  };
  merger.Add(says("x", 1, false));
  merger.Add(says("x", 2, false));
  merger.Add(says("y", 3, false));
  EXPECT_EQ(merger.Take().triggers_size(), 2);
  EXPECT_FALSE(merger.pending());
  merger.Add(says("y", 0, true));
  EXPECT_TRUE(merger.Take().triggers(0).gone());
  merger.StartAnew();
  const v1::GatewayReport anew = merger.Take();
  ASSERT_EQ(anew.triggers_size(), 1);
  EXPECT_EQ(anew.triggers(0).backlog(), 2u);
}

TEST(ReportMerger, TellsANewListenerWhatIsHeldByLeasesWithTheLastProbe) {
  ReportMerger merger("gw-1");
  EXPECT_FALSE(merger.Take().has_leases()) << "nothing was said of leases";
  v1::GatewayReport held;
  held.mutable_leases()->add_leases()->set_epoch(5);
  held.set_lease_probe(9);
  merger.Add(held);
  EXPECT_EQ(merger.Take().lease_probe(), 9u);
  merger.Add(Wants("a", 1));
  EXPECT_FALSE(merger.Take().has_leases());
  merger.StartAnew();
  const v1::GatewayReport anew = merger.Take();
  EXPECT_EQ(anew.lease_probe(), 9u);
  ASSERT_EQ(anew.leases().leases_size(), 1);
  EXPECT_EQ(anew.leases().leases(0).epoch(), 5u);
  // This one ends: it asks for no more.
  held.set_lease_probe(0);
  held.mutable_leases()->clear_leases();
  merger.Add(held);
  merger.StartAnew();
  EXPECT_EQ(merger.Take().lease_probe(), 0u);
}

TEST(ReportMerger, TellsHowFarTriggersAreBeforeItTellsThatTheyWereLetGo) {
  ReportMerger merger("gw-1");
  v1::GatewayReport report;
  for (std::size_t i = 0; i < 2 * ReportMerger::kFunctionsPerReport; ++i)
    report.add_triggers()->set_function("f" + std::to_string(i));
  merger.Add(report);
  v1::GatewayReport held;
  held.mutable_leases();
  merger.Add(held);
  const v1::GatewayReport first = merger.Take();
  EXPECT_EQ(first.triggers_size(), 2 * static_cast<int>(ReportMerger::kFunctionsPerReport));
  EXPECT_TRUE(first.has_leases());
}

TEST(ReportMerger, TellsANewListenerAllThatIsNotZero) {
  ReportMerger merger("gw-1");
  merger.Add(Wants("a", 1));
  merger.Add(Wants("b", 2));
  merger.Take();
  merger.Add(Wants("b", 0));
  merger.Take();
  merger.StartAnew();
  const v1::GatewayReport report = merger.Take();
  ASSERT_EQ(report.demand_size(), 1);
  EXPECT_EQ(report.demand(0).function(), "a");
}

v1::GatewayReport Costs(const std::string& function, std::uint64_t invocations) {
  v1::GatewayReport report = Wants(function, 0);
  report.set_instance("i1");
  report.mutable_demand(0)->add_usage()->set_invocations(invocations);
  return report;
}

TEST(ReportMerger, TellsANewListenerWhatIdleFunctionsHaveCost) {
  ReportMerger merger("gw-1");
  merger.Add(Costs("a", 7));
  merger.Take();
  merger.StartAnew();
  const v1::GatewayReport report = merger.Take();
  ASSERT_EQ(report.demand_size(), 1);
  EXPECT_EQ(report.demand(0).usage(0).invocations(), 7u);
  EXPECT_EQ(report.instance(), "i1");
}

TEST(ReportMerger, KeepsNothingOfFunctionsThatAreGone) {
  ReportMerger merger("gw-1");
  for (const char* function : {"a", "b", "c"}) merger.Add(Costs(function, 1));
  merger.Take();
  merger.Forget("a");
  v1::RouteUpdate snapshot;
  snapshot.add_upsert()->set_function("c");
  merger.KeepOnly(snapshot);
  merger.StartAnew();
  const v1::GatewayReport report = merger.Take();
  ASSERT_EQ(report.demand_size(), 1);
  EXPECT_EQ(report.demand(0).function(), "c");
}

TEST(ReportMerger, TellsOfManyFunctionsInSeveralReportsButForTheLast) {
  ReportMerger merger("gw-1");
  const std::size_t many = 2 * ReportMerger::kFunctionsPerReport + 1;
  const auto add = [&] {
    for (std::size_t i = 0; i < many; ++i) merger.Add(Costs("f" + std::to_string(i), 1));
  };
  add();
  std::size_t told = 0;
  int reports = 0;
  for (; merger.pending(); ++reports) told += static_cast<std::size_t>(merger.Take().demand_size());
  EXPECT_EQ(told, many);
  EXPECT_EQ(reports, 3);
  add();
  EXPECT_EQ(static_cast<std::size_t>(merger.Take(/*all=*/true).demand_size()), many);
}

}  // namespace
}  // namespace mayfly::gateway
