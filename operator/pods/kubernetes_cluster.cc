#include "operator/pods/kubernetes_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <stop_token>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/log.h"
#include "operator/api/function_resource.h"
#include "operator/api/function_status.h"
#include "operator/api/image_name.h"
#include "operator/kube/api_error.h"
#include "operator/kube/informer.h"
#include "operator/pods/cluster_writes.h"
#include "operator/pods/config_map_modules.h"
#include "proto/problem.h"

namespace mayfly::op {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kConfigMapRefresh{30'000};
constexpr milliseconds kSecretTimeout{5'000};

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

// "photos/thumbnail-x7k2p" → {"photos", "thumbnail-x7k2p"}
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
        pods(client, options.space, options.pods.port),
        modules(client, kConfigMapRefresh) {
    functions.AddHandler([this](const std::string& key) { Changed(key); });
    pods.ListenToFunctions([this](const std::string& key) { Changed(key); });
  }

  void Changed(const std::string& function) {
    std::function<void(const std::string&)> listener;
    {
      const std::lock_guard lock(mutex);
      listener = changed;
    }
    if (listener) listener(function);
  }

  // Fills in where the module is.
  void FindArtifact(const FunctionRecord& record, FunctionObject& object) {
    const Artifact& artifact = record.function->spec.artifact;
    const std::string& sha256 = artifact.sha256;
    object.artifact_sha256 = sha256;
    if (!artifact.image.empty()) {
      object.artifact_identity = artifact.image;
      object.artifact_path = kImageModulePath;
      object.artifact_image.emplace().set_reference(artifact.image);
      const auto& plain = options.plain_http_registries;
      object.artifact_image->set_plain_http(
          std::find(plain.begin(), plain.end(), SplitImageName(artifact.image).host) != plain.end());
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
  PodIndex pods;
  ConfigMapModules modules;
  std::stop_source ending;  // ends what is being read

  mutable std::mutex mutex;
  std::function<void(const std::string&)> changed;  // guarded by mutex
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
  impl_->ending.request_stop();
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
  return impl_->pods.SpaceAt(address);
}

PodIndex& KubernetesCluster::pods() { return impl_->pods; }

absl::StatusOr<FunctionIdentity> KubernetesCluster::Identify(const std::string& function) const {
  const std::shared_ptr<const FunctionRecord> record = impl_->functions.Get(function);
  if (record == nullptr || record->meta.deleted || record->function == nullptr)
    return absl::NotFoundError(fmt::format("there is no function {}", function));
  return FunctionIdentity{.uid = record->meta.uid,
                          .replica_template = PodTemplateHash(*record->function, impl_->options.pods)};
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

absl::StatusOr<SecretData> KubernetesCluster::GetSecret(const std::string& space,
                                                        const std::string& name) const {
  const absl::StatusOr<kube::JsonDocument> secret =
      impl_->client.Get(kube::Secrets(), {.space = space, .name = name, .subresource = {}},
                        {.timeout = kSecretTimeout, .stop = impl_->ending.get_token()});
  if (absl::IsNotFound(secret.status())) {
    return absl::NotFoundError(
        fmt::format("there is no Secret {} in namespace {}: make it with `kubectl create secret generic {} "
                    "--namespace {} --from-literal=KEY=VALUE`",
                    name, space, name, space));
  }
  if (absl::IsPermissionDenied(secret.status())) {
    return absl::PermissionDeniedError(fmt::format(
        "the operator may not read Secret {}: install the chart with operator.readSecrets=true", name));
  }
  if (!secret.ok()) return secret.status();
  SecretData data;
  absl::Status wrong;
  secret->root()["data"].ForEachField([&](std::string_view key, kube::JsonView value) {
    std::string bytes;
    if (!absl::Base64Unescape(std::string(value.Text()), &bytes))
      wrong = absl::InvalidArgumentError(fmt::format("data {} of Secret {} is not base64", key, name));
    data[std::string(key)] = std::move(bytes);
  });
  if (!wrong.ok()) return wrong;
  return data;
}

std::vector<Replica> KubernetesCluster::Replicas(const std::string& function) const {
  return impl_->pods.OfFunction(function);
}

absl::StatusOr<std::string> KubernetesCluster::CreateReplica(const Function& function) {
  const std::shared_ptr<const FunctionRecord> record = impl_->functions.Get(function.Key());
  if (record == nullptr) return absl::NotFoundError(fmt::format("there is no function {}", function.Key()));
  absl::Status status;
  if (impl_->options.prepare) status = impl_->options.prepare(function.space);
  if (!status.ok()) return status;
  return CreatePod(impl_->client, function.space, function.name, [&](const std::string& name) {
    return MakePod(function, name, record->meta.uid, impl_->options.pods);
  });
}

absl::Status KubernetesCluster::DeleteReplica(const std::string& replica, milliseconds grace) {
  return DeletePod(impl_->client, replica, std::chrono::ceil<seconds>(grace));
}

absl::Status KubernetesCluster::WriteStatus(const std::string& function, const FunctionStatus& status) {
  const std::shared_ptr<const FunctionRecord> record = impl_->functions.Get(function);
  if (record == nullptr) return absl::NotFoundError(fmt::format("there is no function {}", function));
  const std::string name = TargetOf(function).name;
  const std::string text = FunctionStatusToJson(status, name, AbsentFields::kNull);
  if (record->status && FunctionStatusToJson(*record->status, name, AbsentFields::kNull) == text)
    return absl::OkStatus();
  return PatchStatus(impl_->client, FunctionResources(), function, text);
}

void KubernetesCluster::RecordEvent(const EventRecord& event) {
  const std::shared_ptr<const FunctionRecord> record = impl_->functions.Get(event.function);
  if (record == nullptr) return;
  impl_->events.Record({.regarding = ReferenceTo(FunctionResources(), record->meta),
                        .warning = event.warning,
                        .reason = event.reason,
                        .message = event.message});
}

}  // namespace mayfly::op
