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

}  // namespace
}  // namespace mayfly::gateway
