// What every Cluster promises, as tests that run over any of them.
//
// A cluster's own test says how its world is changed (a rig), and runs the suite over it:
//
//   class LocalRig { … };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Local, ClusterContract, LocalRig);
//
// A rig is default-constructible; its destructor ends all that it made. It has
//   Cluster& cluster();
//   void Apply(const std::string& name, int concurrency);   // makes or changes the Function default/name
//   void Remove(const std::string& name);
//   void KillReplica(const Replica& replica);               // its process or container dies
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/testing/eventually.h"
#include "operator/controller/cluster.h"

namespace mayfly::op {

template <typename Rig>
class ClusterContract : public ::testing::Test {
 protected:
  static constexpr std::chrono::seconds kWithin{60};

  Cluster& cluster() { return rig_.cluster(); }

  // How often each function was told of.
  void Watch() {
    ASSERT_TRUE(cluster()
                    .Watch([this](const std::string& function) {
                      const std::lock_guard lock(mutex_);
                      ++told_[function];
                    })
                    .ok());
  }
  int Told(const std::string& function) {
    const std::lock_guard lock(mutex_);
    return told_[function];
  }
  static bool Eventually(const std::function<bool()>& holds) { return base::Eventually(holds, kWithin); }
  bool Exists(const std::string& function) { return cluster().GetFunction(function).ok(); }
  Function Get(const std::string& function) { return *cluster().GetFunction(function)->function; }
  void ApplyAndWait(const std::string& name, int concurrency) {
    rig_.Apply(name, concurrency);
    ASSERT_TRUE(Eventually([&] {
      const auto object = cluster().GetFunction("default/" + name);
      return object.ok() && object->function && object->function->spec.concurrency == concurrency;
    }));
  }
  bool HasPhase(const std::string& function, const std::string& replica, ReplicaPhase phase) {
    for (const Replica& each : cluster().Replicas(function)) {
      if (each.name == replica) return each.phase == phase;
    }
    return false;
  }

  std::mutex mutex_;
  std::map<std::string, int> told_;  // guarded by mutex_
  Rig rig_;                          // last: its end ends what tells
};

TYPED_TEST_SUITE_P(ClusterContract);

TYPED_TEST_P(ClusterContract, TellsOfEveryFunctionThatExistsWhenItIsWatched) {
  this->ApplyAndWait("a", 1);
  this->ApplyAndWait("b", 1);
  this->Watch();
  EXPECT_GE(this->Told("default/a"), 1);
  EXPECT_GE(this->Told("default/b"), 1);
}

TYPED_TEST_P(ClusterContract, TellsOfAFunctionThatComesChangesAndGoes) {
  this->Watch();
  this->ApplyAndWait("a", 1);
  ASSERT_TRUE(this->Eventually([&] { return this->Told("default/a") >= 1; }));
  int before = this->Told("default/a");
  this->ApplyAndWait("a", 2);
  ASSERT_TRUE(this->Eventually([&] { return this->Told("default/a") > before; }));
  before = this->Told("default/a");
  this->rig_.Remove("a");
  ASSERT_TRUE(this->Eventually([&] { return !this->Exists("default/a"); }));
  EXPECT_TRUE(this->Eventually([&] { return this->Told("default/a") > before; }));
}

TYPED_TEST_P(ClusterContract, TellsNothingOnceItIsUnwatched) {
  this->Watch();
  this->cluster().Unwatch();
  this->ApplyAndWait("a", 1);
  EXPECT_EQ(this->Told("default/a"), 0);
}

TYPED_TEST_P(ClusterContract, AChangeOfTheSpecIsANewGeneration) {
  this->ApplyAndWait("a", 1);
  const std::int64_t first = this->Get("default/a").generation;
  this->ApplyAndWait("a", 2);
  EXPECT_GT(this->Get("default/a").generation, first);
}

TYPED_TEST_P(ClusterContract, AFunctionThatIsNotThereIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(this->cluster().GetFunction("default/nobody").status()));
  EXPECT_TRUE(absl::IsNotFound(this->cluster().WriteStatus("default/nobody", FunctionStatus{})));
  EXPECT_TRUE(this->cluster().Replicas("default/nobody").empty());
}

TYPED_TEST_P(ClusterContract, AReplicaIsListedAtOnceAndIsToldOfWhenItRuns) {
  this->ApplyAndWait("a", 1);
  this->ApplyAndWait("b", 1);
  this->Watch();
  const int before = this->Told("default/a");
  const auto name = this->cluster().CreateReplica(this->Get("default/a"));
  ASSERT_TRUE(name.ok()) << name.status();
  ASSERT_EQ(this->cluster().Replicas("default/a").size(), 1u);
  EXPECT_TRUE(this->cluster().Replicas("default/b").empty());
  ASSERT_TRUE(this->Eventually([&] { return this->HasPhase("default/a", *name, ReplicaPhase::kRunning); }));
  EXPECT_TRUE(this->Eventually([&] { return this->Told("default/a") > before; }));
  EXPECT_FALSE(this->cluster().Replicas("default/a").front().address.empty());
}

TYPED_TEST_P(ClusterContract, EachReplicaHasANameAndAnAddressOfItsOwn) {
  this->ApplyAndWait("a", 1);
  const auto one = this->cluster().CreateReplica(this->Get("default/a"));
  const auto other = this->cluster().CreateReplica(this->Get("default/a"));
  ASSERT_TRUE(one.ok() && other.ok());
  EXPECT_NE(*one, *other);
  ASSERT_TRUE(this->Eventually([&] {
    return this->HasPhase("default/a", *one, ReplicaPhase::kRunning) &&
           this->HasPhase("default/a", *other, ReplicaPhase::kRunning);
  }));
  const std::vector<Replica> replicas = this->cluster().Replicas("default/a");
  EXPECT_NE(replicas[0].address, replicas[1].address);
}

TYPED_TEST_P(ClusterContract, ADeletedReplicaGoesAndIsToldOf) {
  this->ApplyAndWait("a", 1);
  const auto name = this->cluster().CreateReplica(this->Get("default/a"));
  ASSERT_TRUE(name.ok());
  ASSERT_TRUE(this->Eventually([&] { return this->HasPhase("default/a", *name, ReplicaPhase::kRunning); }));
  this->Watch();
  const int before = this->Told("default/a");
  EXPECT_TRUE(this->cluster().DeleteReplica(*name, std::chrono::seconds(1)).ok());
  EXPECT_TRUE(this->Eventually([&] { return this->cluster().Replicas("default/a").empty(); }));
  EXPECT_TRUE(this->Eventually([&] { return this->Told("default/a") > before; }));
  // Once more is no error.
  EXPECT_TRUE(this->cluster().DeleteReplica(*name, std::chrono::seconds(1)).ok());
}

TYPED_TEST_P(ClusterContract, AReplicaThatDiesFailsAndSaysHow) {
  this->ApplyAndWait("a", 1);
  const auto name = this->cluster().CreateReplica(this->Get("default/a"));
  ASSERT_TRUE(name.ok());
  ASSERT_TRUE(this->Eventually([&] { return this->HasPhase("default/a", *name, ReplicaPhase::kRunning); }));
  this->Watch();
  const int before = this->Told("default/a");
  this->rig_.KillReplica(this->cluster().Replicas("default/a").front());
  ASSERT_TRUE(this->Eventually([&] { return this->HasPhase("default/a", *name, ReplicaPhase::kFailed); }));
  EXPECT_FALSE(this->cluster().Replicas("default/a").front().message.empty());
  EXPECT_TRUE(this->Eventually([&] { return this->Told("default/a") > before; }));
}

TYPED_TEST_P(ClusterContract, ReplicasOfAFunctionThatIsGoneCanStillBeDeleted) {
  this->ApplyAndWait("a", 1);
  const auto name = this->cluster().CreateReplica(this->Get("default/a"));
  ASSERT_TRUE(name.ok());
  this->rig_.Remove("a");
  ASSERT_TRUE(this->Eventually([&] { return !this->Exists("default/a"); }));
  EXPECT_TRUE(this->cluster().DeleteReplica(*name, std::chrono::seconds(1)).ok());
  EXPECT_TRUE(this->Eventually([&] { return this->cluster().Replicas("default/a").empty(); }));
}

TYPED_TEST_P(ClusterContract, TakesStatusesAndEvents) {
  this->ApplyAndWait("a", 1);
  EXPECT_TRUE(this->cluster().WriteStatus("default/a", FunctionStatus{}).ok());
  this->cluster().RecordEvent(
      {.function = "default/a", .warning = false, .reason = "Tested", .message = "a test"});
}

REGISTER_TYPED_TEST_SUITE_P(ClusterContract, TellsOfEveryFunctionThatExistsWhenItIsWatched,
                            TellsOfAFunctionThatComesChangesAndGoes, TellsNothingOnceItIsUnwatched,
                            AChangeOfTheSpecIsANewGeneration, AFunctionThatIsNotThereIsNotFound,
                            AReplicaIsListedAtOnceAndIsToldOfWhenItRuns,
                            EachReplicaHasANameAndAnAddressOfItsOwn, ADeletedReplicaGoesAndIsToldOf,
                            AReplicaThatDiesFailsAndSaysHow, ReplicasOfAFunctionThatIsGoneCanStillBeDeleted,
                            TakesStatusesAndEvents);

}  // namespace mayfly::op
