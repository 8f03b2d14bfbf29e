// KubernetesPools is the PoolCluster that an API server keeps: pools are custom resources, idle replicas are pods.
//
// Pools are read from a cache that a watch keeps; pods from the one that the KubernetesCluster has. A pod is claimed with
// a patch that the API server takes for the version of the pod that was read, and no other.
//
// Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "operator/kube/client.h"
#include "operator/kube/event_recorder.h"
#include "operator/pods/kubernetes_cluster.h"
#include "operator/pools/pool_cluster.h"

namespace mayfly::op {

// The custom resource.
const kube::Resource& RuntimePoolResources();

class KubernetesPools final : public PoolCluster {
 public:
  // All that is referred to must outlive it. `options` are the cluster's.
  KubernetesPools(kube::Client& client, kube::EventRecorder& events, KubernetesCluster& cluster,
                  KubernetesClusterOptions options);
  ~KubernetesPools() override;

  // The namespaces that have pools.
  std::vector<std::string> Spaces() const;

  // Waits for the first list for some seconds; a cluster without the custom resource has no pools.
  absl::Status Watch(std::function<void(const std::string& pool)> changed) override;
  void Unwatch() override;
  absl::StatusOr<PoolObject> GetPool(const std::string& pool) const override;
  std::vector<Replica> IdleReplicas(const std::string& pool) const override;
  absl::StatusOr<std::string> CreateIdle(const PoolObject& pool) override;
  absl::Status DeleteIdle(const std::string& replica) override;
  void Assign(const std::string& replica, const std::string& function) override;
  absl::Status Claim(const std::string& replica, const std::string& function) override;
  absl::Status WriteStatus(const std::string& pool, const RuntimePoolStatus& status) override;
  void RecordEvent(const PoolEvent& event) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::op
