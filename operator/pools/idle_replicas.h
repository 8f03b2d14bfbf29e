// IdleReplicas knows which replicas of all pools wait just now, and hands each out once.
//
// A pool's reconciler offers those that it found to run and to be nobody's; a function's takes one. Both decide under one
// lock, so that a replica is taken by one function, or withdrawn, and never both.
//
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "operator/api/runtime_pool.h"
#include "operator/controller/replica_pool.h"
#include "operator/pools/pool_cluster.h"

namespace mayfly::op {

class IdleReplicas final : public ReplicaPool {
 public:
  // So many of a pool's stand by: those that are taken first. A burst that takes more connects to the rest as they come.
  static constexpr std::size_t kStandbyOfEach = 16;

  // `changed` hears of each pool that was taken from, given back to, or asked in vain; it must not block. All that is
  // referred to must outlive it.
  IdleReplicas(PoolCluster& cluster, base::Metrics& metrics,
               std::function<void(const std::string& pool)> changed);

  // What replicas of `pool` are good for; null: there is no such pool any more, and none of its replicas is handed out.
  void SetPool(const std::string& pool, std::shared_ptr<const RuntimePoolSpec> spec);
  // `replica` runs and is nobody's.
  void Offer(const std::string& pool, const Replica& replica);
  // It is not handed out any more. False if a function has taken it.
  bool Withdraw(const std::string& pool, const std::string& replica);
  bool Waits(const std::string& pool, const std::string& replica) const;

  // What happened to a pool since it was asked last.
  struct News {
    std::vector<std::string> taken{};  // their names
    std::int64_t missed = 0;           // asked while none waited
    std::int64_t returned = 0;         // given back
  };
  News TakeNews(const std::string& pool);

  absl::StatusOr<Replica> Take(const Function& function) override;
  absl::Status Claim(const std::string& replica, const Function& function) override;
  void GiveBack(const std::string& replica) override;
  void OnStandby(std::function<void(const std::vector<StandbyReplica>& standby)> changed) override;

 private:
  struct Pool {
    std::shared_ptr<const RuntimePoolSpec> spec{};
    std::map<std::string, Replica> waiting{};
    News news{};
  };

  // The pool that has one for `function`; null with why there is none.
  Pool* FindLocked(const Function& function, std::string& key, absl::Status& why);
  std::vector<StandbyReplica> Standby() const;
  // REQUIRES: mutex_ is not held.
  void TellStandby();
  void Count(const std::string& pool, const char* outcome);

  PoolCluster& cluster_;
  base::Metrics& metrics_;
  const std::function<void(const std::string&)> changed_;

  mutable std::mutex mutex_;
  std::map<std::string, Pool> pools_;  // guarded by mutex_
  struct Taken {
    std::string pool;
    std::string address;
  };
  std::map<std::string, Taken> taken_;  // guarded by mutex_; by name, until claimed or given back

  std::mutex standby_mutex_;  // held while `standby_changed_` is called
  std::function<void(const std::vector<StandbyReplica>&)> standby_changed_;  // guarded by standby_mutex_
};

}  // namespace mayfly::op
