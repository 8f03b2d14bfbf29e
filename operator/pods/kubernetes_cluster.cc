#include "operator/pods/kubernetes_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/log.h"
#include "operator/api/function_resource.h"
#include "operator/api/function_status.h"
#include "operator/kube/api_error.h"
#include "operator/kube/informer.h"
#include "operator/pods/config_map_modules.h"
#include "operator/pods/pod_view.h"
#include "proto/problem.h"

namespace mayfly::op {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kConfigMapRefresh{30'000};
// A pod's name is of chance: that one is taken may happen, that three are does not.
constexpr int kNamesToTry = 3;

// A Function as the cache has it. What the operator itself writes is no news.
struct FunctionRecord {
  ObjectMeta meta;
  std::shared_ptr<const Function> function;  // null if it is wrong
  std::optional<v1::Problem> problem;
  std::optional<FunctionStatus> status;

  bool operator==(const FunctionRecord& other) const {
    return meta.uid == other.meta.uid && meta.generation == other.meta.generation &&
           meta.labels == other.meta.labels && meta.deleted == other.meta.deleted &&
           problem.has_value() == other.problem.has_value();
  }
};

FunctionRecord ReadFunctionRecord(const kube::JsonView& object) {
  FunctionRecord record;
  absl::StatusOr<FunctionResource> resource = ParseFunctionResource(object.ToJson());
  if (!resource.ok()) {
    record.problem =
        ToProblem({{.file = "", .field = "", .sentence = std::string(resource.status().message())}});
    return record;
  }
  record.meta = std::move(resource->meta);
  record.status = std::move(resource->status);
  if (resource->document.function) {
    record.function = std::make_shared<const Function>(*std::move(resource->document.function));
  } else {
    record.problem = ToProblem(resource->document.mistakes);
  }
  return record;
}

// Where the runtime in the pod with `ip` listens: a gRPC target.
std::string AddressOf(const std::string& ip, std::uint16_t port) {
  return ip.find(':') != std::string::npos ? fmt::format("ipv6:[{}]:{}", ip, port)
                                           : fmt::format("ipv4:{}:{}", ip, port);
}

// "photos/thumbnail-x7k2p" → {"photos", "thumbnail-x7k2p"}
kube::Target TargetOf(const std::string& key) {
  const std::size_t slash = key.find('/');
  return {.space = key.substr(0, slash), .name = key.substr(slash + 1), .subresource = {}};
}

}  // namespace

const kube::Resource& FunctionResources() {
  static const auto* const resource = new kube::Resource{
      .group = "mayfly.dev", .version = "v1alpha1", .plural = "functions", .kind = "Function"};
  return *resource;
}

struct KubernetesCluster::Impl {
  Impl(kube::Client& its_client, kube::EventRecorder& its_events, KubernetesClusterOptions its_options)
      : client(its_client),
        events(its_events),
        options(std::move(its_options)),
        functions(client, {.resource = FunctionResources(), .space = options.space}, &ReadFunctionRecord),
        pods(client,
             {.resource = kube::Pods(),
              .space = options.space,
              .selectors = {.labels = fmt::format("{}={},{}", kManagedByLabel, kManagedBy, kFunctionLabel)}},
             &ReadPod),
        modules(client, kConfigMapRefresh) {
    functions.AddHandler([this](const std::string& key) { Changed(key); });
    pods.AddHandler([this](const std::string& key) { OnPod(key); });
  }

  void Changed(const std::string& function) {
    std::function<void(const std::string&)> listener;
    {
      const std::lock_guard lock(mutex);
      listener = changed;
    }
    if (listener) listener(function);
  }

  // Keeps track of which pods a function has, so that nobody has to look at all of them.
  void OnPod(const std::string& key) {
    const std::shared_ptr<const PodView> pod = pods.Get(key);
    std::string function;
    {
      const std::lock_guard lock(mutex);
      const auto known = function_of_pod.find(key);
      if (pod != nullptr) {
        function = kube::KeyOf(pod->space, pod->function);
        function_of_pod[key] = function;
        pods_of_function[function].insert(key);
        if (!pod->ip.empty()) pod_at[AddressOf(pod->ip, options.pods.port)] = key;
      } else if (known != function_of_pod.end()) {
        function = known->second;
        function_of_pod.erase(known);
        auto& keys = pods_of_function[function];
        keys.erase(key);
        if (keys.empty()) pods_of_function.erase(function);
        std::erase_if(pod_at, [&](const auto& at) { return at.second == key; });
      }
    }
    if (!function.empty()) Changed(function);
  }

  // Fills in where the module is.
  void FindArtifact(const FunctionRecord& record, FunctionObject& object) {
    const Artifact& artifact = record.function->spec.artifact;
    const std::string& sha256 = artifact.sha256;
    object.artifact_sha256 = sha256;
    if (!artifact.image.empty()) {
      object.artifact_identity = artifact.image;
      object.artifact_path = kImageModulePath;
    } else if (!artifact.path.empty()) {
      object.artifact_identity = artifact.path + " " + sha256;
      object.artifact_path = artifact.path;
    } else if (!artifact.config_map_name.empty()) {
      ConfigMapModule module = modules.Get(
          record.meta.Key(), {record.meta.space, artifact.config_map_name, artifact.config_map_key});
      object.artifact_problem = std::move(module.problem);
      object.artifact_identity = module.sha256;
      object.artifact_bytes = std::move(module.bytes);
      if (!object.artifact_problem && !sha256.empty() && sha256 != module.sha256) {
        object.artifact_problem = v1::MakeProblem(
            "operator", "DigestMismatch",
            fmt::format("the module in ConfigMap {} has the SHA-256 {}, and spec.artifact.sha256 "
                        "wants {}: correct one of the two",
                        artifact.config_map_name, module.sha256, sha256));
      }
    } else {
      object.artifact_identity = sha256;
      object.artifact_url = artifact.url;
    }
  }

  kube::Client& client;
  kube::EventRecorder& events;
  const KubernetesClusterOptions options;
  kube::Informer<FunctionRecord> functions;
  kube::Informer<PodView> pods;
  ConfigMapModules modules;

  mutable std::mutex mutex;
  // Guarded by mutex:
  std::function<void(const std::string&)> changed;
  std::map<std::string, std::string> function_of_pod;
  std::map<std::string, std::string> pod_at;  // by address, which another pod may have had before
  std::map<std::string, std::set<std::string>> pods_of_function;
};

KubernetesCluster::KubernetesCluster(kube::Client& client, kube::EventRecorder& events,
                                     KubernetesClusterOptions options)
    : impl_(std::make_unique<Impl>(client, events, std::move(options))) {}

KubernetesCluster::~KubernetesCluster() { Unwatch(); }

absl::Status KubernetesCluster::Watch(std::function<void(const std::string&)> changed) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->changed = changed;
  }
  impl_->modules.Start(changed);
  const base::MonotonicTime deadline = impl_->client.clock().Now() + impl_->options.sync_timeout;
  // Pods first: a function that is seen before its pods would be given new ones.
  impl_->pods.Start();
  if (!impl_->pods.WaitSynced(deadline)) {
    return absl::DeadlineExceededError(
        "the API server did not list the pods in time; may this service account?");
  }
  impl_->functions.Start();
  if (!impl_->functions.WaitSynced(deadline)) {
    return absl::DeadlineExceededError(
        "the API server did not list the Functions in time: are the CRDs installed, and may this service "
        "account?");
  }
  return absl::OkStatus();
}

void KubernetesCluster::Unwatch() {
  impl_->functions.Stop();
  impl_->pods.Stop();
  impl_->modules.Stop();
  const std::lock_guard lock(impl_->mutex);
  impl_->changed = nullptr;
}

std::vector<std::string> KubernetesCluster::Spaces() const {
  std::set<std::string> spaces;
  for (const std::string& key : impl_->functions.Keys()) spaces.insert(TargetOf(key).space);
  return {spaces.begin(), spaces.end()};
}

std::string KubernetesCluster::SpaceAt(const std::string& address) const {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->pod_at.find(address);
  return found == impl_->pod_at.end() ? "" : TargetOf(found->second).space;
}

std::vector<std::string> KubernetesCluster::Functions() const { return impl_->functions.Keys(); }

absl::StatusOr<FunctionObject> KubernetesCluster::GetFunction(const std::string& function) const {
  const std::shared_ptr<const FunctionRecord> record = impl_->functions.Get(function);
  // One that is being deleted is gone as far as serving goes.
  if (record == nullptr || record->meta.deleted) {
    impl_->modules.Forget(function);
    return absl::NotFoundError(fmt::format("there is no function {}", function));
  }
  FunctionObject object;
  object.function = record->function;
  object.problem = record->problem;
  object.status = record->status;
  if (record->function != nullptr) {
    object.replica_template = PodTemplateHash(*record->function, impl_->options.pods);
    impl_->FindArtifact(*record, object);
  }
  return object;
}

std::vector<Replica> KubernetesCluster::Replicas(const std::string& function) const {
  std::vector<std::string> keys;
  {
    const std::lock_guard lock(impl_->mutex);
    const auto found = impl_->pods_of_function.find(function);
    if (found != impl_->pods_of_function.end()) keys.assign(found->second.begin(), found->second.end());
  }
  std::vector<Replica> replicas;
  for (const std::string& key : keys) {
    const std::shared_ptr<const PodView> pod = impl_->pods.Get(key);
    if (pod == nullptr) continue;
    Replica replica;
    replica.name = key;
    replica.function = function;
    replica.phase = pod->phase;
    replica.reason = pod->reason;
    replica.message = pod->message;
    replica.replica_template = pod->replica_template;
    if (!pod->ip.empty()) replica.address = AddressOf(pod->ip, impl_->options.pods.port);
    replicas.push_back(std::move(replica));
  }
  return replicas;
}

absl::StatusOr<std::string> KubernetesCluster::CreateReplica(const Function& function) {
  const std::shared_ptr<const FunctionRecord> record = impl_->functions.Get(function.Key());
  if (record == nullptr) return absl::NotFoundError(fmt::format("there is no function {}", function.Key()));
  absl::Status status;
  if (impl_->options.prepare) status = impl_->options.prepare(function.space);
  if (!status.ok()) return status;
  for (int attempt = 0; attempt < kNamesToTry; ++attempt) {
    const std::string name = NewPodName(function.name);
    status = impl_->client
                 .Create(kube::Pods(), function.space,
                         MakePod(function, name, record->meta.uid, impl_->options.pods))
                 .status();
    if (status.ok()) return kube::KeyOf(function.space, name);
    if (!absl::IsAlreadyExists(status)) break;
  }
  return status;
}

absl::Status KubernetesCluster::DeleteReplica(const std::string& replica, milliseconds grace) {
  const absl::Status status =
      impl_->client.Delete(kube::Pods(), TargetOf(replica), {.grace = std::chrono::ceil<seconds>(grace)});
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status KubernetesCluster::WriteStatus(const std::string& function, const FunctionStatus& status) {
  const std::shared_ptr<const FunctionRecord> record = impl_->functions.Get(function);
  if (record == nullptr) return absl::NotFoundError(fmt::format("there is no function {}", function));
  kube::Target target = TargetOf(function);
  const std::string text = FunctionStatusToJson(status, target.name, AbsentFields::kNull);
  if (record->status && FunctionStatusToJson(*record->status, target.name, AbsentFields::kNull) == text)
    return absl::OkStatus();
  target.subresource = "status";
  return impl_->client
      .Patch(FunctionResources(), target, kube::PatchType::kMerge, fmt::format("{{\"status\":{}}}", text),
             {.field_manager = "mayfly-operator"})
      .status();
}

void KubernetesCluster::RecordEvent(const EventRecord& event) {
  const std::shared_ptr<const FunctionRecord> record = impl_->functions.Get(event.function);
  if (record == nullptr) return;
  impl_->events.Record({.regarding = {.api_version = FunctionResources().ApiVersion(),
                                      .kind = FunctionResources().kind,
                                      .space = record->meta.space,
                                      .name = record->meta.name,
                                      .uid = record->meta.uid},
                        .warning = event.warning,
                        .reason = event.reason,
                        .message = event.message});
}

}  // namespace mayfly::op
