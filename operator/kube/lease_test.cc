#include "operator/kube/lease.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/kube/leader_elector.h"

namespace mayfly::kube {
namespace {

using std::chrono::seconds;

LeaseRecord Held(const std::string& holder, const std::string& version) {
  LeaseRecord record;
  record.holder = holder;
  record.duration = seconds(15);
  record.transitions = 4;
  record.resource_version = version;
  return record;
}

const base::MonotonicTime kStart{seconds(1000)};

TEST(ObservedLease, MayBeTakenWhenItWasNotSeenToChangeForAsLongAsItsHolderSaid) {
  ObservedLease lease;
  lease.Observe(Held("other", "1"), kStart);
  EXPECT_FALSE(lease.MayTake("me", kStart + seconds(14)));
  EXPECT_TRUE(lease.MayTake("me", kStart + seconds(15)));
  EXPECT_TRUE(lease.Observe(Held("other", "2"), kStart + seconds(14)));
  EXPECT_FALSE(lease.Observe(Held("other", "2"), kStart + seconds(20)));
  EXPECT_FALSE(lease.MayTake("me", kStart + seconds(28)));
  EXPECT_TRUE(lease.MayTake("me", kStart + seconds(29)));
}

TEST(ObservedLease, DoesNotBelieveTheTimesInIt) {
  ObservedLease lease;
  LeaseRecord record = Held("other", "1");
  record.renewed = "1970-01-01T00:00:00.000000Z";
  lease.Observe(record, kStart);
  EXPECT_FALSE(lease.MayTake("me", kStart));
}

TEST(ObservedLease, MayBeTakenAtOnceIfItWasReleasedOrIsOursOrIsNotThere) {
  ObservedLease lease;
  EXPECT_TRUE(lease.MayTake("me", kStart));
  lease.Observe(Held("", "1"), kStart);
  EXPECT_TRUE(lease.MayTake("me", kStart));
  lease.Observe(Held("me", "2"), kStart);
  EXPECT_TRUE(lease.MayTake("me", kStart));
}

TEST(ObservedLease, GivesEachHolderAGreaterEpochAlsoAfterTheLeaseWasDeleted) {
  ObservedLease lease;
  EXPECT_EQ(lease.next_transitions(), 1);
  lease.Observe(Held("other", "1"), kStart);
  EXPECT_EQ(lease.next_transitions(), 5);
  lease.Forget();
  EXPECT_EQ(lease.next_transitions(), 5);
}

TEST(Lease, ReadsBackWhatItWrites) {
  LeaseRecord record = Held("me", "77");
  record.acquired = "2026-01-02T03:04:05.000000Z";
  record.renewed = "2026-01-02T03:04:06.000000Z";
  JsonDocument document;
  ASSERT_TRUE(document.Parse(LeaseJson("space", "name", record)).ok());
  EXPECT_EQ(ReadLease(document.root()), record);
}

TEST(Lease, BoundsWhatAHolderMayAskFor) {
  JsonDocument document;
  ASSERT_TRUE(document.Parse(R"({"spec":{"leaseDurationSeconds":99999999,"leaseTransitions":-3}})").ok());
  EXPECT_EQ(ReadLease(document.root()).duration, seconds(3600));
  EXPECT_EQ(ReadLease(document.root()).transitions, 0);
}

TEST(LeaderElector, RefusesPeriodsThatCouldMakeTwoLeaders) {
  LeaderElectorOptions options{.space = "a", .name = "b", .identity = "c"};
  EXPECT_TRUE(LeaderElector::CheckOptions(options).ok());
  options.renew_deadline = options.lease_duration;
  EXPECT_FALSE(LeaderElector::CheckOptions(options).ok());
  options.renew_deadline = options.retry_period;
  EXPECT_FALSE(LeaderElector::CheckOptions(options).ok());
  options = {.space = "a", .name = "b", .identity = ""};
  EXPECT_FALSE(LeaderElector::CheckOptions(options).ok());
}

}  // namespace
}  // namespace mayfly::kube
