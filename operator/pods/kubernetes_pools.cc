#include "operator/pods/kubernetes_pools.h"

#include <fmt/format.h>

#include <mutex>
#include <set>
#include <utility>

#include "base/log.h"
#include "operator/api/function_status.h"
#include "operator/kube/informer.h"
#include "operator/kube/object_meta.h"
#include "operator/pods/cluster_writes.h"
#include "operator/pods/pod_index.h"

namespace mayfly::op {
namespace {

constexpr std::chrono::seconds kFirstList{10};
// The kubelet writes to a pod too: what it was read as may be old by the time that the patch comes.
constexpr int kClaimsToTry = 5;
// Nothing runs in an idle runtime.
constexpr std::chrono::seconds kIdleGrace{5};

struct PoolRecord {
  ObjectMeta meta;
  std::shared_ptr<const RuntimePoolSpec> spec;  // null if it is wrong
  std::string problem;
  std::optional<RuntimePoolStatus> status;

  // What the operator itself writes is no news.
  bool operator==(const PoolRecord& other) const {
    return meta.uid == other.meta.uid && meta.generation == other.meta.generation &&
           meta.deleted == other.meta.deleted;
  }
};

PoolRecord ReadPoolRecord(const kube::JsonView& object) {
  PoolRecord record;
  absl::StatusOr<RuntimePoolResource> resource = ParseRuntimePoolResource(object.ToJson());
  if (!resource.ok()) {
    record.problem = std::string(resource.status().message());
    return record;
  }
  record.meta = std::move(resource->meta);
  record.status = std::move(resource->status);
  if (resource->spec) record.spec = std::make_shared<const RuntimePoolSpec>(*std::move(resource->spec));
  for (const Mistake& mistake : resource->mistakes) {
    record.problem += (record.problem.empty() ? "" : "; ") + mistake.ToString();
  }
  return record;
}

}  // namespace

const kube::Resource& RuntimePoolResources() {
  static const auto* const resource = new kube::Resource{
      .group = "mayfly.dev", .version = "v1alpha1", .plural = "runtimepools", .kind = "RuntimePool"};
  return *resource;
}

struct KubernetesPools::Impl {
  Impl(kube::Client& its_client, kube::EventRecorder& its_events, KubernetesCluster& its_cluster,
       KubernetesClusterOptions its_options)
      : client(its_client),
        events(its_events),
        cluster(its_cluster),
        options(std::move(its_options)),
        pools(client, {.resource = RuntimePoolResources(), .space = options.space}, &ReadPoolRecord) {
    pools.AddHandler([this](const std::string& key) {
      std::function<void(const std::string&)> listener;
      {
        const std::lock_guard lock(mutex);
        listener = changed;
      }
      if (listener) listener(key);
    });
  }

  kube::Client& client;
  kube::EventRecorder& events;
  KubernetesCluster& cluster;
  const KubernetesClusterOptions options;
  kube::Informer<PoolRecord> pools;

  std::mutex mutex;
  std::function<void(const std::string&)> changed;  // guarded by mutex
};

KubernetesPools::KubernetesPools(kube::Client& client, kube::EventRecorder& events,
                                 KubernetesCluster& cluster, KubernetesClusterOptions options)
    : impl_(std::make_unique<Impl>(client, events, cluster, std::move(options))) {}

KubernetesPools::~KubernetesPools() { Unwatch(); }

std::vector<std::string> KubernetesPools::Spaces() const {
  std::set<std::string> spaces;
  for (const std::string& key : impl_->pools.Keys()) spaces.insert(TargetOf(key).space);
  return {spaces.begin(), spaces.end()};
}

absl::Status KubernetesPools::Watch(std::function<void(const std::string&)> changed) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->changed = changed;
  }
  impl_->cluster.pods().ListenToPools(std::move(changed));
  impl_->pools.Start();
  if (!impl_->pools.WaitSynced(impl_->client.clock().Now() + kFirstList)) {
    base::log::Error(
        "the API server does not list RuntimePools; functions get pods of their own meanwhile. Are the "
        "CRDs installed, and may this service account?");
  }
  return absl::OkStatus();
}

void KubernetesPools::Unwatch() {
  impl_->cluster.pods().ListenToPools(nullptr);
  impl_->pools.Stop();
  const std::lock_guard lock(impl_->mutex);
  impl_->changed = nullptr;
}

absl::StatusOr<PoolObject> KubernetesPools::GetPool(const std::string& pool) const {
  const std::shared_ptr<const PoolRecord> record = impl_->pools.Get(pool);
  if (record == nullptr || record->meta.deleted)
    return absl::NotFoundError("there is no RuntimePool " + pool);
  const kube::Target target = TargetOf(pool);
  PoolObject object;
  object.space = target.space;
  object.name = target.name;
  object.generation = record->meta.generation;
  object.spec = record->spec;
  object.problem = record->problem;
  object.status = record->status;
  if (record->spec != nullptr) {
    object.replica_template = IdlePodTemplateHash(
        {.space = target.space, .pool = target.name, .spec = *record->spec}, impl_->options.pods);
  }
  return object;
}

std::vector<Replica> KubernetesPools::IdleReplicas(const std::string& pool) const {
  const std::shared_ptr<const PoolRecord> record = impl_->pools.Get(pool);
  if (record == nullptr) return {};
  return impl_->cluster.pods().OfPool(pool, record->meta.uid);
}

absl::StatusOr<std::string> KubernetesPools::CreateIdle(const PoolObject& pool) {
  const std::shared_ptr<const PoolRecord> record = impl_->pools.Get(pool.Key());
  if (record == nullptr || pool.spec == nullptr)
    return absl::NotFoundError("there is no RuntimePool " + pool.Key());
  absl::Status status;
  if (impl_->options.prepare) status = impl_->options.prepare(pool.space);
  if (!status.ok()) return status;
  const PoolPods pods = {.space = pool.space, .pool = pool.name, .spec = *pool.spec};
  return CreatePod(impl_->client, pool.space, pool.name, [&](const std::string& name) {
    return MakeIdlePod(pods, name, record->meta.uid, impl_->options.pods);
  });
}

absl::Status KubernetesPools::DeleteIdle(const std::string& replica) {
  return DeletePod(impl_->client, replica, kIdleGrace);
}

void KubernetesPools::Assign(const std::string& replica, const std::string& function) {
  impl_->cluster.pods().Assign(replica, function);
}

absl::Status KubernetesPools::Claim(const std::string& replica, const std::string& function) {
  const kube::Target target = TargetOf(replica);
  absl::Status status;
  for (int attempt = 0; attempt < kClaimsToTry; ++attempt) {
    const absl::StatusOr<FunctionIdentity> identity = impl_->cluster.Identify(function);
    if (!identity.ok()) return absl::FailedPreconditionError(identity.status().message());
    const absl::StatusOr<kube::JsonDocument> pod = impl_->client.Get(kube::Pods(), target);
    if (!pod.ok()) return pod.status();
    const kube::ObjectMeta meta = kube::ReadMeta(pod->root());
    if (meta.deleting) return absl::NotFoundError(fmt::format("pod {} is being deleted", replica));
    const kube::JsonView metadata = pod->root()["metadata"];
    const std::string owner(kube::ControllerUid(pod->root()));
    if (owner == identity->uid) return absl::OkStatus();
    const std::string pool(metadata["labels"][kPoolLabel].Text());
    if (pool.empty() || metadata["labels"][kFunctionLabel].exists()) {
      return absl::AbortedError(fmt::format("pod {} is of function {} already", replica,
                                            metadata["labels"][kFunctionLabel].Text()));
    }
    const PodClaim claim = {.function = TargetOf(function).name,
                            .function_uid = identity->uid,
                            .replica_template = identity->replica_template,
                            .pool = pool,
                            .resource_version = std::string(metadata["resourceVersion"].Text())};
    status = impl_->client
                 .Patch(kube::Pods(), target, kube::PatchType::kMerge, MakeClaimPatch(claim),
                        {.field_manager = "mayfly-operator"})
                 .status();
    if (!absl::IsAborted(status)) return status;
  }
  // Somebody wrote in between each time: that is no verdict on whose it is.
  return absl::UnavailableError(std::string(status.message()));
}

absl::Status KubernetesPools::WriteStatus(const std::string& pool, const RuntimePoolStatus& status) {
  return PatchStatus(impl_->client, RuntimePoolResources(), pool,
                     RuntimePoolStatusToJson(status, TargetOf(pool).name));
}

void KubernetesPools::RecordEvent(const PoolEvent& event) {
  const std::shared_ptr<const PoolRecord> record = impl_->pools.Get(event.pool);
  if (record == nullptr) return;
  impl_->events.Record({.regarding = ReferenceTo(RuntimePoolResources(), record->meta),
                        .warning = event.warning,
                        .reason = event.reason,
                        .message = event.message});
}

}  // namespace mayfly::op
