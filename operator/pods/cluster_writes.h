// What KubernetesCluster and KubernetesPools write alike: pods, the status of a resource of ours, and whom Events are about.
//
// Keys are "namespace/name".
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/status.h"
#include "operator/api/object_meta.h"
#include "operator/kube/client.h"
#include "operator/kube/event_correlator.h"

namespace mayfly::op {

kube::Target TargetOf(const std::string& key);

// Makes a pod of a new name that begins with `owner`, from what `make` says for that name. Returns its key.
absl::StatusOr<std::string> CreatePod(kube::Client& client, const std::string& space,
                                      const std::string& owner,
                                      const std::function<std::string(const std::string& name)>& make);
// OK also if it is gone already.
absl::Status DeletePod(kube::Client& client, const std::string& key, std::chrono::seconds grace);

// Writes `status`, a JSON object, to the subresource of the object with that key.
absl::Status PatchStatus(kube::Client& client, const kube::Resource& resource, const std::string& key,
                         const std::string& status);

kube::ObjectReference ReferenceTo(const kube::Resource& resource, const ObjectMeta& meta);

}  // namespace mayfly::op
