// The pod that runs one replica of a function, or waits in a pool for one.
//
// It is made to pass the restricted Pod Security standard: no root, no privileges, a root file system that nobody can
// write to. Nothing in it talks to the API server, so it gets no token. Its container is not restarted: a replica that
// ended by itself is replaced, as a process of one machine is.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "operator/api/function.h"
#include "operator/api/runtime_pool.h"

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
inline constexpr char kComponentLabel[] = "app.kubernetes.io/component";
inline constexpr char kRuntime[] = "runtime";

// The pod as JSON. `name` is the pod's, `uid` the function's, which owns it.
std::string MakePod(const Function& function, const std::string& name, const std::string& uid,
                    const PodDefaults& defaults);

// What of the pod depends on the function and cannot be changed once it runs, as a short hash: pods carry it in an
// annotation, and one with another hash has to be replaced.
std::string PodTemplateHash(const Function& function, const PodDefaults& defaults);
inline constexpr char kTemplateAnnotation[] = "mayfly.dev/template";

// A RuntimePool, as far as its pods go.
struct PoolPods {
  std::string space;
  std::string pool;
  RuntimePoolSpec spec;
};

// An idle pod as JSON: as a function's without anything of a function. `uid` is the pool's, which owns it until a function
// takes it.
std::string MakeIdlePod(const PoolPods& pool, const std::string& name, const std::string& uid,
                        const PodDefaults& defaults);
std::string IdlePodTemplateHash(const PoolPods& pool, const PodDefaults& defaults);

// What makes an idle pod a function's own, as a merge patch: its labels, its owner and its template. It applies to
// the version `resource_version` of the pod alone.
struct PodClaim {
  std::string function;  // its name
  std::string function_uid;
  std::string replica_template;
  std::string pool;  // its name: an annotation keeps where the pod came from
  std::string resource_version;
};
std::string MakeClaimPatch(const PodClaim& claim);
inline constexpr char kFromPoolAnnotation[] = "mayfly.dev/from-pool";

// A name for a new pod of `function`: the function's, cut if it is long, and five characters of chance.
std::string NewPodName(const std::string& function);

}  // namespace mayfly::op
