// A FakeReplicaPool gives out what a test has put there, into a FakeCluster that lists it from then on. It counts what is
// asked of it, and can fail.
//
// Thread-safe.
#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "operator/controller/replica_pool.h"
#include "operator/controller/testing/fake_cluster.h"

namespace mayfly::op {

class FakeReplicaPool final : public ReplicaPool {
 public:
  explicit FakeReplicaPool(FakeCluster& cluster) : cluster_(cluster) {}

  // What the test does.

  // A replica waits. Whatever function asks next gets it.
  void Add(const std::string& name) {
    std::function<void(const std::vector<StandbyReplica>&)> tell;
    std::vector<StandbyReplica> standby;
    {
      const std::lock_guard lock(mutex_);
      exists_ = true;
      Replica replica;
      replica.name = name;
      replica.phase = ReplicaPhase::kRunning;
      replica.address = "unix:/" + name;
      replica.pooled = true;
      waiting_[name] = replica;
      for (const auto& [each, waits] : waiting_)
        standby.push_back({.space = "default", .address = waits.address});
      tell = standby_changed_;
    }
    if (tell) tell(standby);
  }
  // What Take() says, whoever waits.
  void RefuseWith(absl::Status status) {
    const std::lock_guard lock(mutex_);
    refusal_ = std::move(status);
  }
  void FailClaims(absl::Status status) {
    const std::lock_guard lock(mutex_);
    claim_ = std::move(status);
  }

  // What the test looks at.

  std::vector<std::string> waiting() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, replica] : waiting_) names.push_back(name);
    return names;
  }
  // In order: "REPLICA for FUNCTION".
  std::vector<std::string> claimed() const {
    const std::lock_guard lock(mutex_);
    return claimed_;
  }
  int takes() const {
    const std::lock_guard lock(mutex_);
    return takes_;
  }

  // ReplicaPool:

  absl::StatusOr<Replica> Take(const Function& function) override {
    Replica replica;
    {
      const std::lock_guard lock(mutex_);
      ++takes_;
      if (!refusal_.ok()) return refusal_;
      if (!exists_) return absl::NotFoundError("there is no pool");
      if (waiting_.empty()) return absl::ResourceExhaustedError("no replica waits");
      replica = waiting_.extract(waiting_.begin()).mapped();
      replica.function = function.Key();
      taken_[replica.name] = replica;
    }
    cluster_.AddReplica(replica);
    return replica;
  }
  absl::Status Claim(const std::string& replica, const Function& function) override {
    const std::lock_guard lock(mutex_);
    if (!claim_.ok()) return claim_;
    taken_.erase(replica);
    claimed_.push_back(replica + " for " + function.Key());
    return absl::OkStatus();
  }
  void GiveBack(const std::string& replica) override {
    const std::vector<Replica> listed = cluster_.All();
    const bool lives =
        std::any_of(listed.begin(), listed.end(), [&](auto& one) { return one.name == replica; });
    {
      const std::lock_guard lock(mutex_);
      auto taken = taken_.extract(replica);
      if (taken.empty() || !lives) return;
      taken.mapped().function.clear();
      waiting_[replica] = taken.mapped();
    }
    cluster_.Vanish(replica);
  }
  void OnStandby(std::function<void(const std::vector<StandbyReplica>&)> changed) override {
    const std::lock_guard lock(mutex_);
    standby_changed_ = std::move(changed);
  }

 private:
  FakeCluster& cluster_;
  mutable std::mutex mutex_;
  // All guarded by mutex_:
  bool exists_ = false;
  std::map<std::string, Replica> waiting_;
  std::map<std::string, Replica> taken_;
  std::vector<std::string> claimed_;
  absl::Status refusal_;
  absl::Status claim_;
  int takes_ = 0;
  std::function<void(const std::vector<StandbyReplica>&)> standby_changed_;
};

}  // namespace mayfly::op
