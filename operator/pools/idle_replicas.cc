#include "operator/pools/idle_replicas.h"

#include <fmt/format.h>

#include <utility>

#include "operator/pools/pool_fit.h"

namespace mayfly::op {

IdleReplicas::IdleReplicas(PoolCluster& cluster, base::Metrics& metrics,
                           std::function<void(const std::string&)> changed)
    : cluster_(cluster), metrics_(metrics), changed_(std::move(changed)) {}

void IdleReplicas::SetPool(const std::string& pool, std::shared_ptr<const RuntimePoolSpec> spec) {
  {
    const std::lock_guard lock(mutex_);
    if (spec != nullptr) {
      pools_[pool].spec = std::move(spec);
      return;
    }
    pools_.erase(pool);
  }
  TellStandby();
}

void IdleReplicas::Offer(const std::string& pool, const Replica& replica) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = pools_.find(pool);
    if (found == pools_.end() || taken_.contains(replica.name)) return;
    found->second.waiting[replica.name] = replica;
  }
  TellStandby();
}

bool IdleReplicas::Withdraw(const std::string& pool, const std::string& replica) {
  bool waited = false;
  {
    const std::lock_guard lock(mutex_);
    if (taken_.contains(replica)) return false;
    const auto found = pools_.find(pool);
    waited = found != pools_.end() && found->second.waiting.erase(replica) > 0;
  }
  if (waited) TellStandby();
  return true;
}

bool IdleReplicas::Waits(const std::string& pool, const std::string& replica) const {
  const std::lock_guard lock(mutex_);
  const auto found = pools_.find(pool);
  return found != pools_.end() && found->second.waiting.contains(replica);
}

IdleReplicas::News IdleReplicas::TakeNews(const std::string& pool) {
  const std::lock_guard lock(mutex_);
  const auto found = pools_.find(pool);
  return found == pools_.end() ? News() : std::exchange(found->second.news, {});
}

IdleReplicas::Pool* IdleReplicas::FindLocked(const Function& function, std::string& key, absl::Status& why) {
  const std::string prefix = function.space + "/";
  Pool* fits = nullptr;
  why = absl::NotFoundError("there is no pool in namespace " + function.space);
  for (auto pool = pools_.lower_bound(prefix); pool != pools_.end() && pool->first.starts_with(prefix);
       ++pool) {
    const std::string reason = WhyNotFromPool(function, *pool->second.spec);
    if (!reason.empty()) {
      // The first reason is told, for as long as no pool fits.
      if (absl::IsNotFound(why)) {
        why = absl::FailedPreconditionError(
            fmt::format("RuntimePool {} does not fit: {}", pool->first.substr(prefix.size()), reason));
      }
      continue;
    }
    if (!pool->second.waiting.empty()) {
      key = pool->first;
      return &pool->second;
    }
    if (fits == nullptr) {
      fits = &pool->second;
      key = pool->first;
    }
  }
  if (fits != nullptr)
    why = absl::ResourceExhaustedError("no replica waits in RuntimePool " + key.substr(prefix.size()));
  return fits;
}

absl::StatusOr<Replica> IdleReplicas::Take(const Function& function) {
  std::string pool;
  absl::StatusOr<Replica> taken = absl::NotFoundError("");
  {
    const std::lock_guard lock(mutex_);
    absl::Status why;
    Pool* found = FindLocked(function, pool, why);
    if (found == nullptr) return why;
    if (found->waiting.empty()) {
      ++found->news.missed;
      taken = std::move(why);
    } else {
      auto first = found->waiting.extract(found->waiting.begin());
      found->news.taken.push_back(first.key());
      taken_[first.key()] = {.pool = pool, .address = first.mapped().address};
      taken = std::move(first.mapped());
    }
  }
  if (taken.ok()) {
    taken->function = function.Key();
    cluster_.Assign(taken->name, taken->function);
  }
  Count(pool, taken.ok() ? "taken" : "exhausted");
  changed_(pool);
  return taken;
}

absl::Status IdleReplicas::Claim(const std::string& replica, const Function& function) {
  absl::Status status = cluster_.Claim(replica, function.Key());
  // Where it is not certain who has it, it stays taken: nobody else gets it.
  if (status.ok() || absl::IsNotFound(status)) {
    {
      const std::lock_guard lock(mutex_);
      taken_.erase(replica);
    }
    TellStandby();
  }
  return status;
}

void IdleReplicas::GiveBack(const std::string& replica) {
  std::string pool;
  {
    const std::lock_guard lock(mutex_);
    const auto found = taken_.find(replica);
    if (found == taken_.end()) return;
    pool = found->second.pool;
    taken_.erase(found);
    const auto its_pool = pools_.find(pool);
    if (its_pool != pools_.end()) ++its_pool->second.news.returned;
  }
  cluster_.Assign(replica, "");
  TellStandby();
  Count(pool, "given_back");
  changed_(pool);
}

void IdleReplicas::OnStandby(std::function<void(const std::vector<StandbyReplica>&)> changed) {
  {
    const std::lock_guard lock(standby_mutex_);
    standby_changed_ = std::move(changed);
  }
  TellStandby();
}

std::vector<StandbyReplica> IdleReplicas::Standby() const {
  std::vector<StandbyReplica> standby;
  const auto add = [&](const std::string& pool, const std::string& address) {
    standby.push_back({.space = pool.substr(0, pool.find('/')), .address = address});
  };
  const std::lock_guard lock(mutex_);
  for (const auto& [name, taken] : taken_) add(taken.pool, taken.address);
  for (const auto& [key, pool] : pools_) {
    std::size_t of_pool = 0;
    for (const auto& [name, replica] : pool.waiting) {
      if (++of_pool > kStandbyOfEach) break;
      add(key, replica.address);
    }
  }
  return standby;
}

void IdleReplicas::TellStandby() {
  // Looked up with the lock held, so that the last word is the newest.
  const std::lock_guard lock(standby_mutex_);
  if (standby_changed_) standby_changed_(Standby());
}

void IdleReplicas::Count(const std::string& pool, const char* outcome) {
  metrics_
      .Counter("mayfly_pool_takes_total", "Replicas that functions asked a pool for, by what came of it.",
               {{"pool", pool}, {"outcome", outcome}})
      .Increment();
}

}  // namespace mayfly::op
