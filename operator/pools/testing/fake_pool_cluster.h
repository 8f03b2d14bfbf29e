// A FakePoolCluster is a PoolCluster in memory, whose replicas do what the test says. It counts what is written to it.
//
// Thread-safe. `changed` is called on the thread of whoever changes something.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/pools/pool_cluster.h"

namespace mayfly::op {

class FakePoolCluster final : public PoolCluster {
 public:
  // What the test does.

  void Apply(PoolObject pool) {
    const std::string key = pool.Key();
    {
      const std::lock_guard lock(mutex_);
      pools_[key] = std::move(pool);
    }
    Changed(key);
  }
  void Remove(const std::string& key) {
    {
      const std::lock_guard lock(mutex_);
      pools_.erase(key);
    }
    Changed(key);
  }
  // There is a function of that key, that replicas can be claimed for.
  void AddFunction(const std::string& key) {
    const std::lock_guard lock(mutex_);
    functions_.insert(key);
  }
  void AddReplica(const std::string& pool, Replica replica) {
    {
      const std::lock_guard lock(mutex_);
      replicas_[replica.name] = {.pool = pool, .function = "", .replica = replica};
    }
    Changed(pool);
  }
  void SetPhase(const std::string& name, ReplicaPhase phase, const std::string& reason = "",
                const std::string& message = "") {
    std::string pool;
    {
      const std::lock_guard lock(mutex_);
      const auto found = replicas_.find(name);
      if (found == replicas_.end()) return;
      found->second.replica.phase = phase;
      found->second.replica.reason = reason;
      found->second.replica.message = message;
      pool = found->second.pool;
    }
    Changed(pool);
  }
  void RunAll() {
    for (const Replica& replica : All()) {
      if (replica.phase == ReplicaPhase::kStarting) SetPhase(replica.name, ReplicaPhase::kRunning);
    }
  }
  void Vanish(const std::string& name) { static_cast<void>(Erase(name)); }
  void FailCreates(absl::Status status) {
    const std::lock_guard lock(mutex_);
    create_ = std::move(status);
  }

  // What the test looks at.

  std::vector<Replica> All() const {
    const std::lock_guard lock(mutex_);
    std::vector<Replica> all;
    for (const auto& [name, held] : replicas_) all.push_back(held.replica);
    return all;
  }
  std::string FunctionOf(const std::string& replica) const {
    const std::lock_guard lock(mutex_);
    const auto found = replicas_.find(replica);
    return found == replicas_.end() ? "" : found->second.function;
  }
  RuntimePoolStatus Status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }
  std::vector<PoolEvent> Events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  int created() const { return Count(created_); }
  int deleted() const { return Count(deleted_); }
  int status_writes() const { return Count(status_writes_); }

  // PoolCluster:

  absl::Status Watch(std::function<void(const std::string&)> changed) override {
    std::vector<std::string> keys;
    {
      const std::lock_guard lock(mutex_);
      changed_ = std::move(changed);
      for (const auto& [key, pool] : pools_) keys.push_back(key);
    }
    for (const std::string& key : keys) Changed(key);
    return absl::OkStatus();
  }
  void Unwatch() override {
    const std::lock_guard lock(mutex_);
    changed_ = nullptr;
  }
  absl::StatusOr<PoolObject> GetPool(const std::string& pool) const override {
    const std::lock_guard lock(mutex_);
    const auto found = pools_.find(pool);
    if (found == pools_.end()) return absl::NotFoundError("there is no RuntimePool " + pool);
    return found->second;
  }
  std::vector<Replica> IdleReplicas(const std::string& pool) const override {
    const std::lock_guard lock(mutex_);
    std::vector<Replica> idle;
    for (const auto& [name, held] : replicas_) {
      if (held.pool == pool && held.function.empty()) idle.push_back(held.replica);
    }
    return idle;
  }
  absl::StatusOr<std::string> CreateIdle(const PoolObject& pool) override {
    std::string name;
    {
      const std::lock_guard lock(mutex_);
      if (!create_.ok()) return create_;
      name = pool.name + "-" + std::to_string(++created_);
      Replica replica;
      replica.name = name;
      replica.address = "unix:/" + name;
      replica.replica_template = pool.replica_template;
      replicas_[name] = {.pool = pool.Key(), .function = "", .replica = std::move(replica)};
    }
    Changed(pool.Key());
    return name;
  }
  absl::Status DeleteIdle(const std::string& replica) override {
    if (Erase(replica)) {
      const std::lock_guard lock(mutex_);
      ++deleted_;
    }
    return absl::OkStatus();
  }
  void Assign(const std::string& replica, const std::string& function) override {
    std::string pool;
    {
      const std::lock_guard lock(mutex_);
      const auto found = replicas_.find(replica);
      if (found == replicas_.end()) return;
      found->second.function = function;
      pool = found->second.pool;
    }
    if (function.empty()) Changed(pool);
  }
  absl::Status Claim(const std::string& replica, const std::string& function) override {
    std::string pool;
    {
      const std::lock_guard lock(mutex_);
      if (!functions_.contains(function))
        return absl::FailedPreconditionError("there is no function " + function);
      const auto found = replicas_.find(replica);
      if (found == replicas_.end()) return absl::NotFoundError("it is gone");
      found->second.function = function;
      pool = found->second.pool;
    }
    Changed(pool);
    return absl::OkStatus();
  }
  absl::Status WriteStatus(const std::string&, const RuntimePoolStatus& status) override {
    const std::lock_guard lock(mutex_);
    ++status_writes_;
    status_ = status;
    return absl::OkStatus();
  }
  void RecordEvent(const PoolEvent& event) override {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
  }

 private:
  struct Held {
    std::string pool;
    std::string function;  // "": idle
    Replica replica;
  };

  bool Erase(const std::string& name) {
    std::string pool;
    {
      const std::lock_guard lock(mutex_);
      const auto found = replicas_.find(name);
      if (found == replicas_.end()) return false;
      pool = found->second.pool;
      replicas_.erase(found);
    }
    Changed(pool);
    return true;
  }
  void Changed(const std::string& pool) {
    std::function<void(const std::string&)> changed;
    {
      const std::lock_guard lock(mutex_);
      changed = changed_;
    }
    if (changed) changed(pool);
  }
  int Count(const int& counter) const {
    const std::lock_guard lock(mutex_);
    return counter;
  }

  mutable std::mutex mutex_;
  // All guarded by mutex_:
  std::function<void(const std::string&)> changed_;
  std::map<std::string, PoolObject> pools_;
  std::map<std::string, Held> replicas_;
  std::set<std::string> functions_;
  RuntimePoolStatus status_;
  std::vector<PoolEvent> events_;
  absl::Status create_;
  int created_ = 0;
  int deleted_ = 0;
  int status_writes_ = 0;
};

}  // namespace mayfly::op
