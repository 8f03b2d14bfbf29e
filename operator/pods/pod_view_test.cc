#include "operator/pods/pod_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::op {
namespace {

using testing::HasSubstr;

PodView Read(const std::string& status, const std::string& meta = "") {
  kube::JsonDocument document;
  const absl::Status parsed = document.Parse(
      R"({"metadata":{"name":"f-x","namespace":"ns","labels":{"mayfly.dev/function":"f"},)"
      R"("annotations":{"mayfly.dev/template":"t1"},"ownerReferences":[{"uid":"u1","controller":true}])" +
      meta + R"(},"status":)" + status + "}");
  EXPECT_TRUE(parsed.ok()) << parsed;
  return ReadPod(document.root());
}

TEST(PodView, RunsOnceItsContainerDoesAndItHasAnAddress) {
  const PodView view =
      Read(R"({"phase":"Running","podIP":"10.1.2.3","containerStatuses":[{"state":{"running":{}}}]})");
  EXPECT_EQ(view.phase, ReplicaPhase::kRunning);
  EXPECT_EQ(view.ip, "10.1.2.3");
  EXPECT_EQ(view.function, "f");
  EXPECT_EQ(view.owner, "u1");
  EXPECT_EQ(view.replica_template, "t1");
  EXPECT_EQ(view.reason, "");
}

TEST(PodView, KnowsThatItWasMadeForAPool) {
  EXPECT_FALSE(Read("{}").pooled);
  kube::JsonDocument document;
  for (
      const char* metadata :
      {R"({"metadata":{"name":"p-x","labels":{"mayfly.dev/pool":"p"}},"status":{}})",
       R"({"metadata":{"name":"p-x","labels":{"mayfly.dev/function":"f"},"annotations":{"mayfly.dev/from-pool":"p"}},"status":{}})"}) {
    ASSERT_TRUE(document.Parse(metadata).ok());
    EXPECT_TRUE(ReadPod(document.root()).pooled) << metadata;
  }
}

TEST(PodView, StartsWithoutAReasonWhileThatIsOrdinary) {
  for (const char* const status :
       {R"({})", R"({"phase":"Pending"})",
        R"({"phase":"Pending","containerStatuses":[{"state":{"waiting":{"reason":"ContainerCreating"}}}]})",
        R"({"phase":"Running","containerStatuses":[{"state":{"running":{}}}]})"}) {
    const PodView view = Read(status);
    EXPECT_EQ(view.phase, ReplicaPhase::kStarting) << status;
    EXPECT_EQ(view.reason, "") << status;
  }
}

TEST(PodView, TellsInTheKubeletsWordsWhyItDoesNotStart) {
  const PodView view =
      Read(R"({"phase":"Pending","containerStatuses":[{"state":{"waiting":{"reason":"ImagePullBackOff",)"
           R"("message":"Back-off pulling image \"nowhere/x\""}}}]})");
  EXPECT_EQ(view.phase, ReplicaPhase::kStarting);
  EXPECT_EQ(view.reason, "ImagePullBackOff");
  EXPECT_THAT(view.message, HasSubstr("nowhere/x"));
}

TEST(PodView, TellsInTheSchedulersWordsWhyItHasNoNode) {
  const PodView view = Read(
      R"({"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable",)"
      R"("message":"0/1 nodes are available: 1 Insufficient memory."}]})");
  EXPECT_EQ(view.reason, "Unschedulable");
  EXPECT_THAT(view.message, HasSubstr("Insufficient memory"));
}

TEST(PodView, TellsHowItEnded) {
  const PodView killed = Read(
      R"({"phase":"Failed","containerStatuses":[{"state":{"terminated":{"reason":"OOMKilled","exitCode":137}}}]})");
  EXPECT_EQ(killed.phase, ReplicaPhase::kFailed);
  EXPECT_EQ(killed.reason, "OOMKilled");
  EXPECT_THAT(killed.message, HasSubstr("exit code 137"));
  const PodView evicted =
      Read(R"({"phase":"Failed","reason":"Evicted","message":"The node was low on resource: memory."})");
  EXPECT_EQ(evicted.reason, "Evicted");
  EXPECT_THAT(evicted.message, HasSubstr("low on resource"));
  EXPECT_NE(Read(R"({"phase":"Failed"})").message, "");
}

TEST(PodView, EndsOnceSomebodyDeletedIt) {
  const PodView view =
      Read(R"({"phase":"Running","podIP":"10.1.2.3","containerStatuses":[{"state":{"running":{}}}]})",
           R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")");
  EXPECT_EQ(view.phase, ReplicaPhase::kEnding);
}

}  // namespace
}  // namespace mayfly::op
