// Who fetches an image, by the Secrets of spec.imagePullSecrets.
//
// What the kubelet would do for a volume of the image, the operator does for a replica that has none: it reads the Secrets
// (types kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg), and hands over the logins that are for this image and
// no others. A Secret may have the CA of its registry too, as ca.crt. One that is not there, or may not be read, is left
// out: the image may be public.
#pragma once

#include <string>

#include "base/status.h"
#include "mayfly/v1/runtime.pb.h"
#include "operator/controller/cluster.h"

namespace mayfly::op {

struct PullSecrets {
  v1::ModuleImage image;  // with its logins
  // Which Secrets were left out, and why, for whoever is not let in; "" if none was.
  std::string left_out;
};

// Reads the Secrets that `function` names; may block for some seconds for each. An error: it is not known now what is in
// one of them.
absl::StatusOr<PullSecrets> ReadPullSecrets(const Cluster& cluster, const Function& function,
                                            const v1::ModuleImage& image);

// Adds what of one Secret is for `image`, the best matches first. Says what is wrong with it; "" if nothing is.
std::string AddLogins(const SecretData& secret, v1::ModuleImage* image);

}  // namespace mayfly::op
