// A PoolCluster is where RuntimePools and their idle replicas live: what Cluster is to Functions.
//
// Level-triggered as Cluster is: a watcher hears which pool changed and reads it again. Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "operator/api/runtime_pool.h"
#include "operator/controller/cluster.h"

namespace mayfly::op {

// A RuntimePool as the cluster holds it.
struct PoolObject {
  std::string space;
  std::string name;
  std::int64_t generation = 0;
  std::shared_ptr<const RuntimePoolSpec> spec;  // null if the manifest is wrong
  std::string problem = {};                     // what is wrong with it; "" if nothing is
  // What its replicas are made from: one of another template is outdated.
  std::string replica_template = {};
  std::optional<RuntimePoolStatus> status = {};  // as it was last written

  // "namespace/name".
  std::string Key() const { return space + "/" + name; }
};

struct PoolEvent {
  std::string pool;
  bool warning = false;
  std::string reason;   // one CamelCase word
  std::string message;  // a sentence
};

class PoolCluster {
 public:
  virtual ~PoolCluster() = default;

  // Calls `changed` with the key of each pool that is there, then of each that changed or whose replicas did. On the
  // cluster's own thread; must not block.
  virtual absl::Status Watch(std::function<void(const std::string& pool)> changed) = 0;
  // Calls nothing any more once it has returned.
  virtual void Unwatch() = 0;

  // kNotFound if it is gone.
  virtual absl::StatusOr<PoolObject> GetPool(const std::string& pool) const = 0;
  // Those that no function was given, or that were given back; without those of an earlier pool of that name.
  virtual std::vector<Replica> IdleReplicas(const std::string& pool) const = 0;

  // Starts an idle replica and returns its name at once. May block for a call.
  virtual absl::StatusOr<std::string> CreateIdle(const PoolObject& pool) = 0;
  // Not an error if it is gone.
  virtual absl::Status DeleteIdle(const std::string& replica) = 0;

  // From now on `replica` is listed as one of `function`'s ("namespace/name"), and by IdleReplicas() no more; "": as it
  // was. In memory alone: another operator does not know.
  virtual void Assign(const std::string& replica, const std::string& function) = 0;
  // Writes it down: labels and owner become the function's, if the replica still is the pool's. Errors as
  // ReplicaPool::Claim() has them; kFailedPrecondition: there is no such function.
  virtual absl::Status Claim(const std::string& replica, const std::string& function) = 0;

  virtual absl::Status WriteStatus(const std::string& pool, const RuntimePoolStatus& status) = 0;
  virtual void RecordEvent(const PoolEvent& event) = 0;
};

}  // namespace mayfly::op
