#include "operator/pools/pool_reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/control/testing/fake_replica_client.h"
#include "operator/pools/testing/fake_pool_cluster.h"

namespace mayfly::op {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::SizeIs;

constexpr const char* kPool = "shop/a";

class PoolReconcilerTest : public testing::Test {
 protected:
  PoolReconcilerTest() {
    EXPECT_TRUE(cluster_.Watch([this](const std::string& pool) { queue_.Add(pool); }).ok());
  }
  ~PoolReconcilerTest() override {
    cluster_.Unwatch();
    client_.Cancel();
  }

  static PoolObject Pool(std::int32_t size, std::int32_t max_size = 0,
                         const std::string& replica_template = "t1") {
    auto spec = std::make_shared<RuntimePoolSpec>();
    spec->size = size;
    spec->max_size = std::max(size, max_size);
    PoolObject pool;
    pool.space = "shop";
    pool.name = "a";
    pool.generation = 3;
    pool.spec = std::move(spec);
    pool.replica_template = replica_template;
    return pool;
  }
  static Function Named(const std::string& name) {
    Function function;
    function.name = name;
    function.space = "shop";
    function.spec.artifact.url = "https://example.com/x.so";
    return function;
  }
  static Replica Running(const std::string& name, const std::string& replica_template = "t1") {
    Replica replica;
    replica.name = name;
    replica.phase = ReplicaPhase::kRunning;
    replica.address = "unix:/" + name;
    replica.replica_template = replica_template;
    return replica;
  }

  void Settle() {
    for (int i = 0; i < 1000; ++i) {
      bool worked = false;
      while (controller_.RunOne()) worked = true;
      ASSERT_TRUE(calls_.WaitIdle(std::chrono::seconds(20)));
      if (!worked && queue_.depth() == 0) return;
    }
    FAIL() << "the reconciler does not come to rest";
  }
  void Pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      clock_.Advance(std::chrono::seconds(1));
      Settle();
    }
  }
  // A pool whose replicas all wait.
  void Fill(const PoolObject& pool) {
    cluster_.Apply(pool);
    Settle();
    cluster_.RunAll();
    Settle();
    Pass(2);
  }
  Condition Ready() const {
    const RuntimePoolStatus status = cluster_.Status();
    return status.conditions.empty() ? Condition() : status.conditions.front();
  }

  base::FakeClock clock_;
  base::Metrics metrics_;
  FakePoolCluster cluster_;
  FakeReplicaClient client_;
  WorkQueue queue_{clock_};
  Executor calls_{"call", 2, 1000};
  IdleReplicas idle_{cluster_, metrics_, [this](const std::string& pool) { queue_.Add(pool); }};
  PoolReconciler reconciler_{{.cluster = cluster_,
                              .idle = idle_,
                              .replicas = client_,
                              .queue = queue_,
                              .calls = calls_,
                              .clock = clock_,
                              .metrics = metrics_}};
  Controller controller_{"op",   "pool",
                         queue_, metrics_,
                         clock_, [this](const std::string& key) { return reconciler_.Reconcile(key); }};
};

TEST_F(PoolReconcilerTest, FillsAPoolAndOffersWhatAnswers) {
  cluster_.Apply(Pool(2));
  Settle();
  EXPECT_EQ(cluster_.created(), 2);
  EXPECT_EQ(Ready().status, ConditionStatus::kFalse);
  EXPECT_EQ(Ready().reason, "Filling");
  EXPECT_TRUE(absl::IsResourceExhausted(idle_.Take(Named("early")).status())) << "they only start";
  cluster_.RunAll();
  Settle();
  Pass(2);
  const RuntimePoolStatus status = cluster_.Status();
  EXPECT_EQ(status.observed_generation, 3);
  EXPECT_EQ(status.idle, 2);
  EXPECT_EQ(status.ready, 2);
  EXPECT_EQ(status.desired, 2);
  EXPECT_EQ(status.taken, 0);
  EXPECT_EQ(Ready().status, ConditionStatus::kTrue);
  EXPECT_THAT(metrics_.Text(), HasSubstr("mayfly_pool_replicas{pool=\"shop/a\",state=\"ready\"} 2"));
}

TEST_F(PoolReconcilerTest, WritesNothingInASteadyState) {
  Fill(Pool(2));
  const int writes = cluster_.status_writes();
  for (int i = 0; i < 10; ++i) {
    queue_.Add(kPool);
    Settle();
  }
  Pass(100);
  EXPECT_EQ(cluster_.status_writes(), writes);
  EXPECT_EQ(cluster_.created(), 2);
  EXPECT_EQ(cluster_.deleted(), 0);
}

TEST_F(PoolReconcilerTest, ReplacesWhatAFunctionTook) {
  Fill(Pool(2));
  ASSERT_TRUE(idle_.Take(Named("f")).ok());
  Settle();
  EXPECT_EQ(cluster_.created(), 3);
  EXPECT_EQ(cluster_.deleted(), 0);
  cluster_.RunAll();
  Settle();
  Pass(2);
  EXPECT_EQ(cluster_.Status().taken, 1);
  EXPECT_EQ(cluster_.Status().ready, 2);
  EXPECT_TRUE(client_.Forgotten().empty()) << "the function goes on with the connection that is there";
}

TEST_F(PoolReconcilerTest, StaysReadyWhileOneThatWasTakenIsReplaced) {
  Fill(Pool(1));
  ASSERT_EQ(Ready().status, ConditionStatus::kTrue);
  const auto since = Ready().last_transition;
  ASSERT_TRUE(idle_.Take(Named("f")).ok());
  Pass(30);
  EXPECT_EQ(Ready().status, ConditionStatus::kTrue);
  EXPECT_EQ(Ready().last_transition, since);
  Pass(40);
  EXPECT_EQ(Ready().status, ConditionStatus::kFalse) << "it takes too long";
}

TEST_F(PoolReconcilerTest, GrowsWithWhatWasAskedOfItAndShrinksAfterwards) {
  Fill(Pool(1, 3));
  EXPECT_TRUE(idle_.Take(Named("f")).ok());
  EXPECT_FALSE(idle_.Take(Named("g")).ok());
  EXPECT_FALSE(idle_.Take(Named("h")).ok());
  EXPECT_FALSE(idle_.Take(Named("i")).ok());
  Settle();
  EXPECT_EQ(cluster_.created(), 4) << "three that wait, for the four that were asked for";
  cluster_.RunAll();
  Settle();
  Pass(2);
  EXPECT_EQ(cluster_.Status().ready, 3);
  Pass(61);
  EXPECT_EQ(cluster_.Status().ready, 1);
  EXPECT_EQ(cluster_.deleted(), 2);
}

TEST_F(PoolReconcilerTest, ReplacesThoseThatFailWithBackoff) {
  cluster_.Apply(Pool(1));
  Settle();
  for (int i = 1; i <= 20; ++i) {
    for (const Replica& replica : cluster_.All())
      cluster_.SetPhase(replica.name, ReplicaPhase::kFailed, "Error", "exit code 1");
    Pass(1);
  }
  EXPECT_GE(cluster_.created(), 3);
  EXPECT_LE(cluster_.created(), 9) << "20 s of failures are no storm";
  EXPECT_EQ(Ready().status, ConditionStatus::kFalse);
  EXPECT_EQ(Ready().reason, "Error");
  EXPECT_THAT(Ready().message, HasSubstr("exit code 1"));
  Pass(60);
  cluster_.RunAll();
  Settle();
  Pass(2);
  EXPECT_EQ(Ready().status, ConditionStatus::kTrue);
}

TEST_F(PoolReconcilerTest, SaysWhatKeepsItsReplicasFromStarting) {
  cluster_.Apply(Pool(1));
  Settle();
  cluster_.SetPhase("a-1", ReplicaPhase::kStarting, "ImagePullBackOff", "no such image");
  Pass(3);
  EXPECT_EQ(Ready().reason, "ImagePullBackOff");
  ASSERT_THAT(cluster_.Events(), SizeIs(1)) << "it is told once";
  EXPECT_THAT(cluster_.Events()[0].message, HasSubstr("no such image"));
}

TEST_F(PoolReconcilerTest, SaysOnceThatReplicasCannotBeCreated) {
  cluster_.FailCreates(absl::PermissionDeniedError("quota exceeded"));
  cluster_.Apply(Pool(1));
  Pass(10);
  EXPECT_EQ(Ready().reason, "CannotCreateReplica");
  EXPECT_THAT(Ready().message, HasSubstr("quota exceeded"));
  EXPECT_THAT(cluster_.Events(), SizeIs(1));
  cluster_.FailCreates(absl::OkStatus());
  Pass(60);
  cluster_.RunAll();
  Pass(2);
  EXPECT_EQ(Ready().status, ConditionStatus::kTrue);
}

TEST_F(PoolReconcilerTest, ReplacesThoseThatDoNotAnswer) {
  Fill(Pool(1));
  client_.OnDescribe([](const std::string& address) -> absl::Status {
    if (address == "unix:/a-1") return absl::DeadlineExceededError("silence");
    return absl::OkStatus();
  });
  Pass(31);
  EXPECT_FALSE(idle_.Take(Named("f")).ok()) << "a function would wait for it";
  Pass(4);
  EXPECT_EQ(cluster_.deleted(), 1);
  EXPECT_EQ(cluster_.created(), 2);
  EXPECT_THAT(client_.Forgotten(), Contains("unix:/a-1"));
}

TEST_F(PoolReconcilerTest, ReplacesOutdatedOnes) {
  Fill(Pool(2));
  cluster_.Apply(Pool(2, 0, "t2"));
  Settle();
  EXPECT_EQ(cluster_.deleted(), 2);
  EXPECT_EQ(cluster_.created(), 4);
  EXPECT_FALSE(idle_.Take(Named("f")).ok());
  cluster_.RunAll();
  Settle();
  const auto taken = idle_.Take(Named("f"));
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->replica_template, "t2");
}

TEST_F(PoolReconcilerTest, ReplacesOneThatSomebodyDeletes) {
  Fill(Pool(1));
  cluster_.SetPhase("a-1", ReplicaPhase::kEnding);
  Settle();
  EXPECT_FALSE(idle_.Take(Named("f")).ok());
  EXPECT_EQ(cluster_.created(), 2);
  EXPECT_EQ(cluster_.deleted(), 0) << "it goes by itself";
}

TEST_F(PoolReconcilerTest, AdoptsWhatAnEarlierOperatorLeft) {
  cluster_.AddReplica(kPool, Running("old-1"));
  cluster_.AddReplica(kPool, Running("old-2"));
  PoolObject pool = Pool(2);
  pool.status = RuntimePoolStatus{
      .observed_generation = 3, .conditions = {}, .idle = 2, .ready = 2, .desired = 2, .taken = 41};
  cluster_.Apply(pool);
  Settle();
  EXPECT_EQ(cluster_.created(), 0);
  ASSERT_TRUE(idle_.Take(Named("f")).ok());
  Pass(2);
  EXPECT_EQ(cluster_.Status().taken, 42);
}

TEST_F(PoolReconcilerTest, GivesAReplicaToTheFunctionWhoseModuleItHolds) {
  // An operator ended between Load and Claim.
  cluster_.AddReplica(kPool, Running("old-1"));
  cluster_.AddFunction("shop/f");
  client_.SetLoaded("unix:/old-1", "shop/f", "r1");
  cluster_.Apply(Pool(1));
  Settle();
  EXPECT_EQ(cluster_.FunctionOf("old-1"), "shop/f");
  EXPECT_EQ(cluster_.deleted(), 0);
  Pass(2);
  EXPECT_EQ(cluster_.created(), 1) << "and it is replaced";
  EXPECT_EQ(cluster_.Status().taken, 1);
}

TEST_F(PoolReconcilerTest, DeletesAReplicaThatHoldsTheModuleOfNoFunction) {
  cluster_.AddReplica(kPool, Running("old-1"));
  client_.SetLoaded("unix:/old-1", "shop/gone", "r1");
  cluster_.Apply(Pool(1));
  Settle();
  EXPECT_EQ(cluster_.deleted(), 1);
  Settle();
  EXPECT_EQ(cluster_.created(), 1);
  EXPECT_FALSE(idle_.Take(Named("f")).ok());
}

TEST_F(PoolReconcilerTest, OffersAgainWhatWasGivenBack) {
  Fill(Pool(1));
  ASSERT_TRUE(idle_.Take(Named("f")).ok());
  idle_.GiveBack("a-1");
  Settle();
  EXPECT_EQ(cluster_.created(), 1) << "nothing is missing";
  const auto taken = idle_.Take(Named("g"));
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->name, "a-1");
  Pass(2);
  EXPECT_EQ(cluster_.Status().taken, 1);
}

TEST_F(PoolReconcilerTest, OffersNothingOfAPoolThatIsGoneOrWrong) {
  Fill(Pool(1));
  PoolObject wrong = Pool(1);
  wrong.spec = nullptr;
  wrong.problem = "spec.size is wrong";
  cluster_.Apply(wrong);
  Pass(2);
  EXPECT_FALSE(idle_.Take(Named("f")).ok());
  EXPECT_EQ(Ready().reason, "InvalidManifest");
  EXPECT_EQ(cluster_.deleted(), 0);
  cluster_.Apply(Pool(1));
  Settle();
  EXPECT_TRUE(idle_.Take(Named("f")).ok()) << "it comes back with its manifest";
  cluster_.Remove(kPool);
  Settle();
  EXPECT_TRUE(absl::IsNotFound(idle_.Take(Named("g")).status()));
  EXPECT_EQ(cluster_.deleted(), 0) << "the cluster takes away what the pool owns, and no more";
}

}  // namespace
}  // namespace mayfly::op
