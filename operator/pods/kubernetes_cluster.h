// The KubernetesCluster is the Cluster that an API server keeps: Functions are custom resources, replicas are pods.
//
// Both are read from caches that two watches keep; only writes, and the ConfigMaps that carry modules and the Secrets of
// triggers, by their names, are calls. A replica's name is its pod's, "namespace/name".
//
// What it writes: pods, the status of Functions, Events. A status is written when it differs from the one that the cache
// has; the times of conditions that did not change are kept.
//
// Thread-safe. The watches' threads call `changed`; thread `artifacts` looks after ConfigMaps.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/controller/cluster.h"
#include "operator/kube/client.h"
#include "operator/kube/event_recorder.h"
#include "operator/pods/pod_index.h"
#include "operator/pods/pod_template.h"

namespace mayfly::op {

// The custom resource.
const kube::Resource& FunctionResources();

struct KubernetesClusterOptions {
  std::string space;  // the one namespace to look after; "" for all
  PodDefaults pods;
  // Registries (HOST or HOST:PORT) without TLS, out of which runtimes fetch modules.
  std::vector<std::string> plain_http_registries = {};
  std::chrono::milliseconds sync_timeout{60'000};
  // What a namespace needs before a pod can start there; may block.
  std::function<absl::Status(const std::string& space)> prepare = {};
};

// What a pod that becomes a function's own is given.
struct FunctionIdentity {
  std::string uid;
  std::string replica_template;
};

class KubernetesCluster final : public Cluster {
 public:
  // All that is referred to must outlive the cluster.
  KubernetesCluster(kube::Client& client, kube::EventRecorder& events, KubernetesClusterOptions options);
  ~KubernetesCluster() override;

  // kDeadlineExceeded if the API server does not list what there is in time.
  absl::Status Watch(std::function<void(const std::string& function)> changed) override;
  void Unwatch() override;

  // The namespaces that have Functions.
  std::vector<std::string> Spaces() const;
  // The namespace of the pod that is, or was last, at `address`; "" if there was none.
  std::string SpaceAt(const std::string& address) const;
  // The pods of functions and of pools. It lives as long as the cluster.
  PodIndex& pods();
  // kNotFound if there is no such function, or no pod could be made for it.
  absl::StatusOr<FunctionIdentity> Identify(const std::string& function) const;

  std::vector<std::string> Functions() const override;
  absl::StatusOr<FunctionObject> GetFunction(const std::string& function) const override;
  absl::StatusOr<SecretData> GetSecret(const std::string& space, const std::string& name) const override;
  std::vector<Replica> Replicas(const std::string& function) const override;
  absl::StatusOr<std::string> CreateReplica(const Function& function) override;
  absl::Status DeleteReplica(const std::string& replica, std::chrono::milliseconds grace) override;
  absl::Status WriteStatus(const std::string& function, const FunctionStatus& status) override;
  void RecordEvent(const EventRecord& event) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::op
