#include "operator/pools/idle_replicas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "operator/pools/testing/fake_pool_cluster.h"

namespace mayfly::op {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr const char* kPool = "shop/a";

class IdleReplicasTest : public testing::Test {
 protected:
  IdleReplicasTest() {
    auto spec = std::make_shared<RuntimePoolSpec>();
    idle_.SetPool(kPool, spec);
  }

  void Add(const std::string& name, const std::string& pool = kPool) {
    Replica replica;
    replica.name = name;
    replica.phase = ReplicaPhase::kRunning;
    replica.address = "unix:/" + name;
    cluster_.AddReplica(pool, replica);
    idle_.Offer(pool, replica);
  }
  static Function Named(const std::string& name, const std::string& space = "shop") {
    Function function;
    function.name = name;
    function.space = space;
    function.spec.artifact.url = "https://example.com/x.so";
    return function;
  }

  FakePoolCluster cluster_;
  base::Metrics metrics_;
  std::atomic<int> told_ = 0;
  IdleReplicas idle_{cluster_, metrics_, [this](const std::string&) { ++told_; }};
};

TEST_F(IdleReplicasTest, HandsOutWhatWaitsAndTellsThePool) {
  Add("p1");
  const auto taken = idle_.Take(Named("f"));
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->name, "p1");
  EXPECT_EQ(taken->function, "shop/f");
  EXPECT_EQ(taken->address, "unix:/p1");
  EXPECT_EQ(cluster_.FunctionOf("p1"), "shop/f");
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(idle_.TakeNews(kPool).taken, std::vector<std::string>{"p1"});
  EXPECT_TRUE(idle_.TakeNews(kPool).taken.empty()) << "it is told once";
}

TEST_F(IdleReplicasTest, SaysWhyItHasNone) {
  EXPECT_TRUE(absl::IsNotFound(idle_.Take(Named("f", "elsewhere")).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(idle_.Take(Named("f")).status()));
  EXPECT_EQ(idle_.TakeNews(kPool).missed, 1);
  Function function = Named("f");
  function.spec.artifact.credentials_secret = "x";
  const absl::Status status = idle_.Take(function).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("RuntimePool a does not fit: spec.artifact.credentialsSecret"));
}

TEST_F(IdleReplicasTest, LooksForTheFirstPoolThatFitsAndHasOne) {
  auto other = std::make_shared<RuntimePoolSpec>();
  other->pods.image = "other";
  idle_.SetPool("shop/0", other);
  idle_.SetPool("shop/b", std::make_shared<RuntimePoolSpec>());
  Add("o1", "shop/0");
  Add("b1", "shop/b");
  const auto taken = idle_.Take(Named("f"));
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->name, "b1");
}

TEST_F(IdleReplicasTest, NeitherOffersNorWithdrawsWhatIsTaken) {
  Add("p1");
  const auto taken = idle_.Take(Named("f"));
  ASSERT_TRUE(taken.ok());
  idle_.Offer(kPool, *taken);  // of a call that began before
  EXPECT_FALSE(idle_.Waits(kPool, "p1"));
  EXPECT_FALSE(idle_.Withdraw(kPool, "p1"));
  EXPECT_TRUE(absl::IsResourceExhausted(idle_.Take(Named("g")).status()));
}

TEST_F(IdleReplicasTest, TakesBackWhatWasNotClaimed) {
  Add("p1");
  const auto taken = idle_.Take(Named("f"));
  ASSERT_TRUE(taken.ok());
  idle_.GiveBack("p1");
  EXPECT_EQ(cluster_.FunctionOf("p1"), "");
  EXPECT_EQ(idle_.TakeNews(kPool).returned, 1);
  EXPECT_FALSE(idle_.Waits(kPool, "p1")) << "it is asked first";
  idle_.Offer(kPool, *taken);
  EXPECT_TRUE(idle_.Take(Named("g")).ok());
}

TEST_F(IdleReplicasTest, ForgetsAReplicaOnceItIsClaimed) {
  Add("p1");
  cluster_.AddFunction("shop/f");
  ASSERT_TRUE(idle_.Take(Named("f")).ok());
  EXPECT_TRUE(idle_.Claim("p1", Named("f")).ok());
  idle_.GiveBack("p1");
  EXPECT_EQ(cluster_.FunctionOf("p1"), "shop/f") << "what is claimed is not given back";
}

TEST_F(IdleReplicasTest, HandsOutNothingOfAPoolThatIsGone) {
  Add("p1");
  idle_.SetPool(kPool, nullptr);
  EXPECT_TRUE(absl::IsNotFound(idle_.Take(Named("f")).status()));
}

TEST_F(IdleReplicasTest, TellsWhichReplicasStandByUntilTheyAreClaimed) {
  cluster_.AddFunction("shop/f");
  std::vector<std::string> standby;
  int calls = 0;
  idle_.OnStandby([&](const std::vector<StandbyReplica>& replicas) {
    ++calls;
    standby.clear();
    for (const StandbyReplica& replica : replicas) standby.push_back(replica.space + " " + replica.address);
  });
  Add("p1");
  Add("p2");
  EXPECT_THAT(standby, ElementsAre("shop unix:/p1", "shop unix:/p2"));
  calls = 0;
  ASSERT_TRUE(idle_.Take(Named("f")).ok());
  EXPECT_EQ(calls, 0) << "nothing on the way of a request, and it stands by until its function has it";
  ASSERT_TRUE(idle_.Claim("p1", Named("f")).ok());
  EXPECT_THAT(standby, ElementsAre("shop unix:/p2"));
  ASSERT_TRUE(idle_.Take(Named("g")).ok());
  idle_.GiveBack("p2");
  EXPECT_THAT(standby, IsEmpty()) << "it is asked again before another may have it";
  for (std::size_t i = 0; i <= IdleReplicas::kStandbyOfEach; ++i) Add("q" + std::to_string(i));
  EXPECT_THAT(standby, SizeIs(IdleReplicas::kStandbyOfEach));
  idle_.Withdraw(kPool, "q0");
  EXPECT_THAT(standby, Not(Contains("shop unix:/q0")));
  idle_.SetPool(kPool, nullptr);
  EXPECT_THAT(standby, IsEmpty());
  idle_.OnStandby(nullptr);
}

TEST_F(IdleReplicasTest, GivesNoReplicaToTwoFunctionsThatAskAtOnce) {
  constexpr int kReplicas = 200;
  constexpr int kThreads = 4;
  for (int i = 0; i < kReplicas; ++i) Add("p" + std::to_string(i));
  std::mutex mutex;
  std::multiset<std::string> taken;
  std::vector<std::jthread> threads;
  std::atomic<int> withdrawn = 0;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const Function function = Named("f" + std::to_string(t));
      for (;;) {
        const auto replica = idle_.Take(function);
        if (!replica.ok()) return;
        const std::lock_guard lock(mutex);
        taken.insert(replica->name);
      }
    });
  }
  // A pool that shrinks meanwhile.
  for (int i = 0; i < kReplicas; i += 10) {
    const std::string name = "p" + std::to_string(i);
    const bool waited = idle_.Waits(kPool, name);
    if (idle_.Withdraw(kPool, name) && waited) {
      const std::lock_guard lock(mutex);
      if (!taken.contains(name)) {
        ++withdrawn;
        taken.insert(name);
      }
    }
  }
  threads.clear();
  EXPECT_EQ(std::set<std::string>(taken.begin(), taken.end()).size(), taken.size());
  EXPECT_EQ(taken.size(), static_cast<std::size_t>(kReplicas));
}

}  // namespace
}  // namespace mayfly::op
