// When a function is Ready: once requests that come to any gateway are brought to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/reconcilers/testing/rig.h"

namespace mayfly::op {
namespace {

using testing::HasSubstr;

// Gateways confirm what they have when a test says so.
class RoutingTest : public testing::Test {
 protected:
  ConditionStatus Status(const std::string& type) {
    return rig_.cluster_.ConditionOf(Rig::kKey, type).status;
  }
  std::string Reason(const std::string& type) { return rig_.cluster_.ConditionOf(Rig::kKey, type).reason; }

  Rig rig_;
};

TEST_F(RoutingTest, IsReadyOnceEveryGatewayHasItsRoutes) {
  rig_.link_.ReportDemandOnly("", 0, 0);
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  EXPECT_EQ(rig_.cluster_.status_writes(), 0) << "who waits for Ready asks a gateway next";
  rig_.link_.Confirm();
  rig_.Settle();
  EXPECT_EQ(rig_.cluster_.status_writes(), 1);
  EXPECT_EQ(Status("Ready"), ConditionStatus::kTrue);
  EXPECT_EQ(Status("TriggersReady"), ConditionStatus::kTrue);
}

TEST_F(RoutingTest, NamesTheGatewayThatDoesNotTakeItsRoutesIn) {
  rig_.link_.ReportDemandOnly("", 0, 0);
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  rig_.Pass(3);
  EXPECT_EQ(Status("Ready"), ConditionStatus::kTrue);
  EXPECT_EQ(Status("TriggersReady"), ConditionStatus::kUnknown);
  EXPECT_EQ(Reason("TriggersReady"), "Routing");
  EXPECT_THAT(rig_.cluster_.ConditionOf(Rig::kKey, "TriggersReady").message, HasSubstr("gateway-0"));
  rig_.link_.Confirm();
  rig_.Settle();
  EXPECT_EQ(Status("TriggersReady"), ConditionStatus::kTrue);
}

TEST_F(RoutingTest, IsNotReadyWhileThereIsNoGateway) {
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  rig_.Pass(3);
  EXPECT_EQ(Status("Ready"), ConditionStatus::kUnknown);
  EXPECT_EQ(Reason("Ready"), "NoGateway");
  rig_.link_.Confirm();
  rig_.Settle();
  EXPECT_EQ(Status("Ready"), ConditionStatus::kTrue);
}

TEST_F(RoutingTest, StaysReadyWhileAGatewayLagsBehindItsReplicas) {
  rig_.link_.ConfirmAtOnce(true);
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  rig_.link_.ConfirmAtOnce(false);
  rig_.link_.ReportDemandOnly(Rig::kKey, 0, 1);
  rig_.Settle();
  rig_.cluster_.RunAll();
  rig_.Settle();
  EXPECT_EQ(Reason("Ready"), "Serving");
  EXPECT_EQ(Status("TriggersReady"), ConditionStatus::kTrue);
}

TEST_F(RoutingTest, AnOperatorThatComesAnewTakesNoReadyBack) {
  rig_.link_.ConfirmAtOnce(true);
  rig_.cluster_.Apply(rig_.Hello());
  rig_.Settle();
  FunctionObject object = rig_.Hello();
  object.status = rig_.cluster_.Status(Rig::kKey);
  Rig anew;  // whose gateways have not come over yet
  anew.cluster_.Apply(object);
  anew.Settle();
  anew.Pass(10);
  EXPECT_EQ(anew.cluster_.status_writes(), 0);
}

}  // namespace
}  // namespace mayfly::op
