// Leader election and events against a real API server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/event_recorder.h"
#include "operator/kube/leader_elector.h"
#include "operator/kube/testing/live_cluster.h"

namespace mayfly::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Eventually;
using ::testing::HasSubstr;

// One process that would lead, with a client of its own.
struct Candidate {
  Candidate(const Config& config, const std::string& space, const std::string& identity)
      : client(config),
        elector(*client,
                {.space = space,
                 .name = "operator",
                 .identity = identity,
                 .lease_duration = milliseconds(3000),
                 .renew_deadline = milliseconds(2000),
                 .retry_period = milliseconds(300)},
                {.started = [this](std::int64_t epoch) { started = epoch; },
                 .stopped =
                     [this](const std::string& why) {
                       const std::lock_guard lock(mutex);
                       reason = why;
                       stopped_at = std::chrono::steady_clock::now();
                     },
                 .observed = {}}) {
    elector.Start();
  }
  bool Leads() const { return started != 0 && elector.epoch().has_value(); }
  std::string why() {
    const std::lock_guard lock(mutex);
    return reason;
  }

  std::atomic<std::int64_t> started = 0;
  std::mutex mutex;
  std::string reason;
  std::chrono::steady_clock::time_point stopped_at;
  testing::LiveClient client;
  LeaderElector elector;
};

class LeaderLiveTest : public testing::LiveClusterTest {
 protected:
  std::unique_ptr<Candidate> Start(const std::string& identity) {
    return std::make_unique<Candidate>(AdminConfig(), space_, identity);
  }
};

TEST_F(LeaderLiveTest, PassesFromOneToTheOtherAtOnceWhenTheLeaderStops) {
  auto a = Start("a");
  ASSERT_TRUE(Eventually([&] { return a->Leads(); }));
  auto b = Start("b");
  EXPECT_EQ(a->started, 1);
  const auto begin = std::chrono::steady_clock::now();
  a->elector.Stop();
  EXPECT_FALSE(a->Leads());
  ASSERT_TRUE(Eventually([&] { return b->Leads(); }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(1500));
  EXPECT_EQ(b->started, 2);
}

TEST_F(LeaderLiveTest, NeverHasTwoLeadersAmongManyThatComeAndGo) {
  std::vector<std::unique_ptr<Candidate>> candidates;
  for (int i = 0; i < 4; ++i) candidates.push_back(Start("c" + std::to_string(i)));
  std::int64_t last_epoch = 0;
  for (int round = 0; round < 3; ++round) {
    Candidate* leader = nullptr;
    ASSERT_TRUE(Eventually([&] {
      int leaders = 0;
      for (const auto& candidate : candidates) {
        if (!candidate->Leads()) continue;
        ++leaders;
        leader = candidate.get();
      }
      EXPECT_LE(leaders, 1);
      return leaders == 1;
    }));
    EXPECT_GT(leader->started, last_epoch);
    last_epoch = leader->started;
    leader->elector.Stop();
  }
}

TEST_F(LeaderLiveTest, StepsDownWithinTheRenewDeadlineWhileTheServerIsFrozen) {
  auto a = Start("a");
  ASSERT_TRUE(Eventually([&] { return a->Leads(); }));
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(server_->Command("freeze kube-apiserver").ok());
  EXPECT_TRUE(Eventually([&] { return !a->why().empty(); }));
  ASSERT_TRUE(server_->Command("thaw kube-apiserver").ok());
  EXPECT_LE(a->stopped_at - begin, milliseconds(2200));
  EXPECT_THAT(a->why(), HasSubstr("not renewed within the deadline"));
  auto b = Start("b");
  EXPECT_TRUE(Eventually([&] { return b->Leads(); }));
  EXPECT_EQ(b->started, 2);
}

TEST_F(LeaderLiveTest, KeepsLeadingThroughAShortOutage) {
  auto a = Start("a");
  ASSERT_TRUE(Eventually([&] { return a->Leads(); }));
  ASSERT_TRUE(server_->Command("freeze kube-apiserver").ok());
  EXPECT_FALSE(Eventually([&] { return !a->Leads(); }, milliseconds(700)));
  ASSERT_TRUE(server_->Command("thaw kube-apiserver").ok());
  EXPECT_FALSE(Eventually([&] { return !a->Leads(); }, milliseconds(2500)));
}

TEST_F(LeaderLiveTest, TellsALabelFromATheft) {
  auto a = Start("a");
  ASSERT_TRUE(Eventually([&] { return a->Leads(); }));
  const Target lease = Named("operator");
  ASSERT_TRUE(
      client().Patch(Leases(), lease, PatchType::kMerge, R"({"metadata":{"labels":{"x":"y"}}})").ok());
  EXPECT_FALSE(Eventually([&] { return !a->Leads(); }, milliseconds(1000)));
  EXPECT_EQ(client().Get(Leases(), lease)->root()["metadata"]["labels"]["x"].Text(), "y");
  ASSERT_TRUE(client().Delete(Leases(), lease).ok());
  EXPECT_FALSE(Eventually([&] { return !a->Leads(); }, milliseconds(1000)));
  EXPECT_EQ(client().Get(Leases(), lease)->root()["spec"]["leaseTransitions"].Integer(), 1);
  ASSERT_TRUE(
      client().Patch(Leases(), lease, PatchType::kMerge, R"({"spec":{"holderIdentity":"thief"}})").ok());
  EXPECT_TRUE(Eventually([&] { return !a->Leads(); }, milliseconds(1500)));
  EXPECT_TRUE(Eventually([&] { return a->why().find("thief") != std::string::npos; }));
}

TEST_F(LeaderLiveTest, RenewsItsLeaseBehindAThousandRequestsOfAResync) {
  Config config = AdminConfig();
  testing::LiveClient slow(config, {.per_second = 5, .burst = 5});
  LeaderElector elector(*slow,
                        {.space = space_,
                         .name = "operator",
                         .identity = "a",
                         .lease_duration = milliseconds(3000),
                         .renew_deadline = milliseconds(2000),
                         .retry_period = milliseconds(300)},
                        {});
  elector.Start();
  ASSERT_TRUE(Eventually([&] { return elector.epoch().has_value(); }));
  std::stop_source stop;
  std::vector<std::jthread> resync;
  for (int i = 0; i < 16; ++i) {
    resync.emplace_back([&] {
      while (!stop.stop_requested()) {
        (void)slow->List(ConfigMaps(), space_, {}, {.timeout = seconds(60), .stop = stop.get_token()});
      }
    });
  }
  EXPECT_FALSE(Eventually([&] { return !elector.epoch(); }, milliseconds(5000)));
  stop.request_stop();
}

TEST_F(LeaderLiveTest, RecordsEventsThatDescribeShowsWithTheirCount) {
  const auto object = client().Create(ConfigMaps(), space_, ConfigMapJson("a"));
  ASSERT_TRUE(object.ok());
  EventRecorder recorder(client(), {.instance = "pod-1"});
  recorder.Start();
  EventNote note{.regarding = {.api_version = "v1",
                               .kind = "ConfigMap",
                               .space = space_,
                               .name = "a",
                               .uid = std::string(object->root()["metadata"]["uid"].Text())},
                 .warning = true,
                 .reason = "ModuleRefused",
                 .message = "needs GLIBC_2.38, and this image has 2.36"};
  for (int i = 0; i < 3; ++i) recorder.Record(note);
  recorder.Stop();
  const auto events = client().List(
      Events(), space_, {.selectors = {.fields = "involvedObject.name=a,involvedObject.kind=ConfigMap"}});
  ASSERT_TRUE(events.ok()) << events.status();
  int seen = 0;
  events->items().ForEachItem([&seen](JsonView event) {
    ++seen;
    EXPECT_EQ(event["count"].Integer(), 3);
    EXPECT_EQ(event["reason"].Text(), "ModuleRefused");
    EXPECT_TRUE(event["lastTimestamp"].exists());
  });
  EXPECT_EQ(seen, 1);
}

}  // namespace
}  // namespace mayfly::kube
