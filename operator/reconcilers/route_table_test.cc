#include "operator/reconcilers/route_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/control/testing/fake_gateway_link.h"

namespace mayfly::op {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

Trigger Http(const std::string& path, std::vector<std::string> methods = {}, const std::string& host = "") {
  Trigger trigger;
  trigger.name = "t";
  trigger.http = HttpTrigger{.host = host, .path = path, .methods = std::move(methods)};
  return trigger;
}

v1::FunctionRoute Route(const std::string& function, unsigned endpoints = 0) {
  v1::FunctionRoute route;
  route.set_function(function);
  for (unsigned i = 0; i < endpoints; ++i) route.add_endpoints()->set_replica(std::to_string(i));
  return route;
}

v1::GatewayReport Confirms(const std::string& gateway, std::uint64_t version) {
  v1::GatewayReport report;
  report.set_gateway(gateway);
  report.set_confirmed_version(version);
  report.set_confirmed_epoch(1);
  return report;
}

class RouteTableTest : public testing::Test {
 protected:
  FakeGatewayLink link_;
  std::vector<std::string> woken_;
  RouteTable table_{link_, 1, [this](const std::string& function) { woken_.push_back(function); }};
};

TEST_F(RouteTableTest, PublishesOnlyWhatChanged) {
  const std::uint64_t first = table_.Put(Route("a"));
  EXPECT_EQ(table_.Put(Route("a")), first);
  EXPECT_EQ(link_.updates(), 1);
  EXPECT_GT(table_.Put(Route("a", 1)), first);
  EXPECT_EQ(link_.updates(), 2);
}

TEST_F(RouteTableTest, PublishesAnewWhatWasRemoved) {
  table_.Put(Route("a"));
  table_.Remove("a");
  EXPECT_EQ(link_.Route("a"), std::nullopt);
  table_.Put(Route("a"));
  EXPECT_TRUE(link_.Route("a").has_value());
  EXPECT_TRUE(link_.in_order());
}

TEST_F(RouteTableTest, PublishesWhatStandsByWhenThatChanged) {
  v1::Standby standby;
  table_.PutStandby(standby);
  EXPECT_EQ(link_.updates(), 0) << "nothing stands by to begin with";
  standby.add_replicas()->set_address("ipv4:10.0.0.7:9000");
  table_.PutStandby(standby);
  table_.PutStandby(standby);
  EXPECT_EQ(link_.updates(), 1);
  EXPECT_THAT(link_.Standby(), ElementsAre("ipv4:10.0.0.7:9000"));
  table_.Put(Route("a"));
  EXPECT_THAT(link_.Standby(), ElementsAre("ipv4:10.0.0.7:9000")) << "a route says nothing of it";
  table_.PutStandby({});
  EXPECT_THAT(link_.Standby(), IsEmpty());
  EXPECT_TRUE(link_.in_order());
}

TEST_F(RouteTableTest, WaitsForEveryGatewayThatWasHeardOf) {
  const std::uint64_t version = table_.Put(Route("a"));
  EXPECT_FALSE(table_.Confirmed(version)) << "nobody was heard of yet";
  table_.WakeWhenConfirmed(version, "a");
  table_.Observe(Confirms("g1", 0));
  table_.Observe(Confirms("g2", version));
  EXPECT_FALSE(table_.Confirmed(version));
  EXPECT_THAT(table_.Lacking(version), ElementsAre("g1"));
  EXPECT_THAT(woken_, IsEmpty());
  table_.Observe(Confirms("g1", version));
  EXPECT_TRUE(table_.Confirmed(version));
  EXPECT_THAT(woken_, ElementsAre("a"));
  table_.WakeWhenConfirmed(version, "b");
  EXPECT_THAT(woken_, ElementsAre("a", "b")) << "at once";
}

TEST_F(RouteTableTest, SurvivesAConfirmationFromWithinPublish) {
  link_.OnReport([this](const v1::GatewayReport& report) { table_.Observe(report); });
  link_.ConfirmAtOnce(true);
  EXPECT_TRUE(table_.Confirmed(table_.Put(Route("a"))));
}

TEST_F(RouteTableTest, LetsWhoeverHasARouteKeepIt) {
  EXPECT_THAT(table_.Claim("b", {Http("/x"), Http("/y")}).granted, SizeIs(2));
  const RouteClaim claim = table_.Claim("a", {Http("/x"), Http("/z")});
  EXPECT_THAT(claim.granted, SizeIs(1));
  ASSERT_THAT(claim.refused, SizeIs(1));
  EXPECT_EQ(claim.refused[0].owner, "b");
  EXPECT_EQ(claim.refused[0].path, "/x");
  EXPECT_THAT(table_.Claim("b", {Http("/x"), Http("/y")}).granted, SizeIs(2))
      << "claiming again changes nothing";
  EXPECT_THAT(woken_, IsEmpty());
}

TEST_F(RouteTableTest, WakesWhoWasRefusedWhenTheRouteIsGivenUp) {
  table_.Claim("b", {Http("/x")});
  table_.Claim("a", {Http("/x")});
  table_.Claim("b", {Http("/other")});
  EXPECT_THAT(woken_, ElementsAre("a"));
  EXPECT_THAT(table_.Claim("a", {Http("/x")}).granted, SizeIs(1));
  EXPECT_THAT(table_.Claim("b", {Http("/x")}).refused, SizeIs(1));
  table_.Remove("a");
  EXPECT_THAT(woken_, ElementsAre("a", "b"));
}

TEST_F(RouteTableTest, SharesAPathByMethodAndByHost) {
  EXPECT_THAT(table_.Claim("a", {Http("/x", {"GET"})}).refused, IsEmpty());
  EXPECT_THAT(table_.Claim("b", {Http("/x", {"POST"})}).refused, IsEmpty());
  EXPECT_THAT(table_.Claim("c", {Http("/x", {}, "example.com")}).refused, IsEmpty());
  EXPECT_THAT(table_.Claim("d", {Http("/x", {"PUT", "POST"})}).refused, SizeIs(1));
  EXPECT_THAT(table_.Claim("e", {Http("/x")}).refused, SizeIs(1)) << "all methods";
}

TEST_F(RouteTableTest, TakesPathsThatDifferInNamesOfParametersForTheSame) {
  table_.Claim("a", {Http("/users/{id}"), Http("/files/{rest...}")});
  EXPECT_THAT(table_.Claim("b", {Http("/users/{name}")}).refused, SizeIs(1));
  EXPECT_THAT(table_.Claim("b", {Http("/files/{path...}")}).refused, SizeIs(1));
  EXPECT_THAT(table_.Claim("b", {Http("/files/{name}")}).refused, IsEmpty());
  EXPECT_THAT(table_.Claim("c", {Http("/users/me")}).refused, IsEmpty());
}

}  // namespace
}  // namespace mayfly::op
