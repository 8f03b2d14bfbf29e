// The pod that runs one replica of a function.
//
// It is made to pass the restricted Pod Security standard: no root, no privileges, a root file system that nobody can
// write to. Nothing in it talks to the API server, so it gets no token. Its container is not restarted: a replica that
// ended by itself is replaced, as a process of one machine is.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "operator/api/function.h"

namespace mayfly::op {

// What the operator adds to what a function's manifest says.
struct PodDefaults {
  std::string image;                   // of the runtime
  std::string image_pull_policy = {};  // "": Kubernetes' own choice
  std::string tls_secret = {};         // in the function's namespace; "": no TLS
  std::uint16_t port = 9000;           // gRPC
  std::uint16_t admin_port = 9090;     // /metrics, /readyz
  std::map<std::string, std::string> requests{{"cpu", "50m"},
                                              {"memory", "64Mi"}};  // where a manifest has none
};

// Where the module of an artifact.image lies in its pod: the image's /module.so.
inline constexpr char kImageModulePath[] = "/mayfly/image/module.so";

// Labels of every replica's pod, by which they are found again.
inline constexpr char kManagedByLabel[] = "app.kubernetes.io/managed-by";
inline constexpr char kManagedBy[] = "mayfly";

// The pod as JSON. `name` is the pod's, `uid` the function's, which owns it.
std::string MakePod(const Function& function, const std::string& name, const std::string& uid,
                    const PodDefaults& defaults);

// What of the pod depends on the function and cannot be changed once it runs, as a short hash: pods carry it in an
// annotation, and one with another hash has to be replaced.
std::string PodTemplateHash(const Function& function, const PodDefaults& defaults);
inline constexpr char kTemplateAnnotation[] = "mayfly.dev/template";

// A name for a new pod of `function`: the function's, cut if it is long, and five characters of chance.
std::string NewPodName(const std::string& function);

}  // namespace mayfly::op
