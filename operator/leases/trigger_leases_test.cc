#include "operator/leases/trigger_leases.h"

#include <gtest/gtest.h>

#include <string>

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

class TriggerLeasesTest : public testing::Test {
 protected:
  TriggerLeasesTest() : leases_(Options(), clock_, metrics_) {}

  static LeaseOptions Options() {
    LeaseOptions options;
    options.epoch = 4;
    options.quiet = 0ms;
    return options;
  }
  void Ask(const std::string& gateway) {
    v1::GatewayReport report;
    report.set_gateway(gateway);
    report.set_instance("i");
    report.set_lease_probe(1);
    report.mutable_leases();
    leases_.Observe(report);
  }
  static v1::FunctionRoute Route() {
    v1::FunctionRoute route;
    route.set_function("default/f");
    route.add_triggers()->mutable_cron();
    route.mutable_triggers(0)->set_name("nightly");
    route.add_triggers()->mutable_nats();
    route.mutable_triggers(1)->set_name("queue");
    route.add_triggers()->mutable_postgres();
    route.mutable_triggers(2)->set_name("rows");
    return route;
  }

  base::FakeClock clock_;
  base::Metrics metrics_;
  TriggerLeases leases_;
};

TEST_F(TriggerLeasesTest, WritesOwnersOfTriggersThatMustHaveOneIntoARoute) {
  Ask("a");
  v1::FunctionRoute route = Route();
  leases_.Stamp(&route);
  EXPECT_EQ(route.triggers(0).owner(), "a");
  EXPECT_EQ(route.triggers(0).owner_instance(), "i");
  EXPECT_EQ(route.triggers(0).epoch() >> 32, 4u);
  EXPECT_EQ(route.triggers(1).owner(), "");
  EXPECT_EQ(route.triggers(1).epoch(), 0u) << "nobody leases it";
  EXPECT_EQ(route.triggers(2).owner(), "a");
}

TEST_F(TriggerLeasesTest, TellsWhatHasChangedSinceItWasWrittenAndWhoIsToBeAnswered) {
  v1::FunctionRoute route = Route();
  leases_.Stamp(&route);
  EXPECT_EQ(route.triggers(0).owner(), "");
  EXPECT_GT(route.triggers(0).epoch(), 0u);
  Ask("a");
  const TriggerLeases::News news = leases_.AwaitNews({});
  EXPECT_EQ(news.functions, std::set<std::string>{"default/f"});
  ASSERT_TRUE(news.terms.contains("a"));
  leases_.Stamp(&route);
  EXPECT_EQ(route.triggers(0).owner(), "a");
  EXPECT_EQ(route.triggers(2).owner(), "a");
}

TEST_F(TriggerLeasesTest, CountsTakeovers) {
  v1::FunctionRoute route = Route();
  Ask("a");
  leases_.Stamp(&route);
  EXPECT_NE(metrics_.Text().find("mayfly_operator_trigger_leases 2"), std::string::npos);
  clock_.Advance(3s);
  Ask("b");
  leases_.Stamp(&route);
  EXPECT_EQ(route.triggers(0).owner(), "b");
  EXPECT_NE(metrics_.Text().find("mayfly_operator_trigger_takeovers_total{reason=\"lapsed\"} 2"),
            std::string::npos);
  EXPECT_NE(metrics_.Text().find("mayfly_operator_trigger_takeovers_total{reason=\"given_up\"} 0"),
            std::string::npos);
}

TEST_F(TriggerLeasesTest, ReturnsWhenItIsToStop) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(leases_.AwaitNews(stop.get_token()).functions.empty());
}

}  // namespace
}  // namespace mayfly::op
