#include "operator/reconcilers/trigger_health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/reconcilers/testing/rig.h"

namespace mayfly::op {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::GatewayReport Says(const std::string& gateway, const std::string& problem, bool gone = false) {
  v1::GatewayReport report;
  report.set_gateway(gateway);
  v1::TriggerReport& trigger = *report.add_triggers();
  trigger.set_function(Rig::kKey);
  trigger.set_trigger("orders");
  trigger.set_kind(v1::TriggerReport::BACKLOG_VALUE);
  trigger.set_problem(problem);
  trigger.set_gone(gone);
  return report;
}

std::string TriggersReady(const Rig& rig) {
  const std::optional<FunctionView> view = rig.reconciler_.View(Rig::kKey);
  if (!view) return "no view";
  for (const Condition& condition : view->status.conditions) {
    if (condition.type == "TriggersReady")
      return (condition.status == ConditionStatus::kTrue ? "True " : "False ") + condition.reason + " " +
             condition.message;
  }
  return "none";
}

TEST(TriggerHealthTest, TellsOnceWhatIsNew) {
  TriggerHealth health;
  EXPECT_THAT(health.Observe(Says("g", "no such stream")), ElementsAre(Rig::kKey));
  EXPECT_THAT(health.Observe(Says("g", "no such stream")), IsEmpty());
  EXPECT_THAT(health.Observe(Says("g", "")), ElementsAre(Rig::kKey));
  EXPECT_THAT(health.Problems(Rig::kKey), IsEmpty());
}

TEST(TriggerHealthTest, ATriggerThatWorksAtOneGatewayWorks) {
  TriggerHealth health;
  health.Observe(Says("g1", "no such stream"));
  EXPECT_EQ(health.Problems(Rig::kKey).size(), 1u);
  health.Observe(Says("g2", ""));
  EXPECT_THAT(health.Problems(Rig::kKey), IsEmpty());
  v1::GatewayReport last;
  last.set_gateway("g2");
  last.set_leaving(true);
  EXPECT_THAT(health.Observe(last), ElementsAre(Rig::kKey));
  ASSERT_EQ(health.Problems(Rig::kKey).size(), 1u);
  EXPECT_EQ(health.Problems(Rig::kKey)[0].message, "no such stream");
  health.Observe(Says("g1", "", true));
  EXPECT_THAT(health.Problems(Rig::kKey), IsEmpty());
}

TEST(TriggerHealthTest, BelievesTheNewestLeaseOfATrigger) {
  TriggerHealth health;
  v1::GatewayReport old = Says("g1", "");
  old.mutable_triggers(0)->set_epoch(5);
  health.Observe(old);
  v1::GatewayReport owner = Says("g2", "no such slot");
  owner.mutable_triggers(0)->set_epoch(6);
  health.Observe(owner);
  ASSERT_EQ(health.Problems(Rig::kKey).size(), 1u);
  EXPECT_EQ(health.Problems(Rig::kKey)[0].message, "no such slot");
  EXPECT_TRUE(health.Heard(Rig::kKey, "orders"));
  EXPECT_FALSE(health.Heard(Rig::kKey, "rows"));
}

TEST(TriggerHealthTest, IsAConditionWithTheSourcesOwnWords) {
  Rig rig;
  rig.link_.ConfirmAtOnce(true);
  rig.cluster_.Apply(rig.Hello());
  rig.Settle();
  EXPECT_THAT(TriggersReady(rig), HasSubstr("True"));
  rig.link_.HandIn(Says("gateway-0", "nats: stream ORDERS not found"));
  rig.Settle();
  EXPECT_EQ(TriggersReady(rig), "False SourceNotReady trigger orders: nats: stream ORDERS not found");
  rig.link_.HandIn(Says("gateway-0", ""));
  rig.Settle();
  EXPECT_THAT(TriggersReady(rig), HasSubstr("True"));
}

}  // namespace
}  // namespace mayfly::op
