#include "operator/pods/cluster_writes.h"

#include <fmt/format.h>

#include "operator/kube/informer.h"
#include "operator/pods/pod_template.h"

namespace mayfly::op {
namespace {

// A pod's name is of chance: that one is taken may happen, that three are does not.
constexpr int kNamesToTry = 3;

}  // namespace

kube::Target TargetOf(const std::string& key) {
  const std::size_t slash = key.find('/');
  return {.space = key.substr(0, slash), .name = key.substr(slash + 1), .subresource = {}};
}

absl::StatusOr<std::string> CreatePod(kube::Client& client, const std::string& space,
                                      const std::string& owner,
                                      const std::function<std::string(const std::string& name)>& make) {
  absl::Status status;
  for (int attempt = 0; attempt < kNamesToTry; ++attempt) {
    const std::string name = NewPodName(owner);
    status = client.Create(kube::Pods(), space, make(name)).status();
    if (status.ok()) return kube::KeyOf(space, name);
    if (!absl::IsAlreadyExists(status)) break;
  }
  return status;
}

absl::Status DeletePod(kube::Client& client, const std::string& key, std::chrono::seconds grace) {
  const absl::Status status = client.Delete(kube::Pods(), TargetOf(key), {.grace = grace});
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status PatchStatus(kube::Client& client, const kube::Resource& resource, const std::string& key,
                         const std::string& status) {
  kube::Target target = TargetOf(key);
  target.subresource = "status";
  return client
      .Patch(resource, target, kube::PatchType::kMerge, fmt::format("{{\"status\":{}}}", status),
             {.field_manager = "mayfly-operator"})
      .status();
}

kube::ObjectReference ReferenceTo(const kube::Resource& resource, const ObjectMeta& meta) {
  return {.api_version = resource.ApiVersion(),
          .kind = resource.kind,
          .space = meta.space,
          .name = meta.name,
          .uid = meta.uid};
}

}  // namespace mayfly::op
