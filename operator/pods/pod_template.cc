#include "operator/pods/pod_template.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "base/digest.h"
#include "operator/api/function_status.h"
#include "operator/pools/pool_fit.h"

namespace mayfly::op {
namespace {

using Json = nlohmann::json;

// Beyond the function's timeout: the runtime's own five seconds, and as many for the kubelet.
constexpr std::chrono::seconds kGraceMargin{10};
constexpr int kUser = 65532;
constexpr char kNameLabel[] = "app.kubernetes.io/name";
constexpr char kFunctionApplication[] = "mayfly-function";
constexpr std::size_t kLongestPodName = 63;
constexpr std::size_t kSuffix = 5;

Json Amounts(const std::map<std::string, std::string>& amounts) { return amounts; }

Json MakeResources(const FunctionSpec& spec, const PodDefaults& defaults) {
  Json resources = Json::object();
  std::map<std::string, std::string> requests = spec.resources.requests;
  // A limit without a request is its own request, as Kubernetes has it.
  for (const auto& [name, amount] : defaults.requests) {
    if (!spec.resources.limits.contains(name)) requests.try_emplace(name, amount);
  }
  if (!requests.empty()) resources["requests"] = Amounts(requests);
  if (!spec.resources.limits.empty()) resources["limits"] = Amounts(spec.resources.limits);
  return resources;
}

Json MakeTolerations(const PodOptions& options) {
  Json tolerations = Json::array();
  for (const Toleration& toleration : options.tolerations) {
    Json item = Json::object();
    if (!toleration.key.empty()) item["key"] = toleration.key;
    if (!toleration.comparison.empty()) item["operator"] = toleration.comparison;
    if (!toleration.value.empty()) item["value"] = toleration.value;
    if (!toleration.effect.empty()) item["effect"] = toleration.effect;
    if (toleration.toleration_seconds) item["tolerationSeconds"] = *toleration.toleration_seconds;
    tolerations.push_back(std::move(item));
  }
  return tolerations;
}

Json Probe(const char* path, std::uint16_t port, int period, int failures) {
  return {{"httpGet", {{"path", path}, {"port", port}}},
          {"periodSeconds", period},
          {"timeoutSeconds", 5},
          {"failureThreshold", failures}};
}

// One that hangs does not heed SIGTERM either: it is not given the time that its invocations would have.
Json LivenessProbe(std::uint16_t port) {
  constexpr int kGraceSeconds = 5;
  Json probe = Probe("/healthz", port, 10, 6);
  probe["terminationGracePeriodSeconds"] = kGraceSeconds;
  return probe;
}

Json MakeContainer(const FunctionSpec& spec, const PodDefaults& defaults) {
  Json arguments = {"--listen",     fmt::format("0.0.0.0:{}", defaults.port),
                    "--admin",      fmt::format("0.0.0.0:{}", defaults.admin_port),
                    "--state-dir",  "/mayfly/state",
                    "--log-format", "json"};
  Json mounts = {{{"name", "state"}, {"mountPath", "/mayfly/state"}},
                 {{"name", "tmp"}, {"mountPath", "/tmp"}}};
  if (!defaults.tls_secret.empty()) {
    arguments.push_back("--tls");
    arguments.push_back("/mayfly/tls");
    mounts.push_back({{"name", "tls"}, {"mountPath", "/mayfly/tls"}, {"readOnly", true}});
  }
  if (!spec.artifact.credentials_secret.empty()) {
    arguments.push_back("--artifact-credentials");
    arguments.push_back("/mayfly/artifact-credentials");
    mounts.push_back({{"name", "artifact-credentials"},
                      {"mountPath", "/mayfly/artifact-credentials"},
                      {"readOnly", true}});
  }
  if (!spec.artifact.image.empty()) {
    mounts.push_back({{"name", "module"}, {"mountPath", "/mayfly/image"}, {"readOnly", true}});
  }
  Json container = {
      {"name", "runtime"},
      {"image", spec.runtime.image.empty() ? defaults.image : spec.runtime.image},
      {"args", std::move(arguments)},
      {"ports",
       {{{"name", "grpc"}, {"containerPort", defaults.port}},
        {{"name", "metrics"}, {"containerPort", defaults.admin_port}}}},
      {"resources", MakeResources(spec, defaults)},
      {"volumeMounts", std::move(mounts)},
      // Ready is for people and for disruption budgets: the operator and the gateways ask the runtime itself.
      {"readinessProbe", Probe("/readyz", defaults.admin_port, 5, 3)},
      // On the admin port: the kubelet's gRPC probes speak no TLS.
      {"startupProbe", Probe("/healthz", defaults.admin_port, 1, 60)},
      {"livenessProbe", LivenessProbe(defaults.admin_port)},
      {"securityContext",
       {{"allowPrivilegeEscalation", false},
        {"readOnlyRootFilesystem", true},
        {"capabilities", {{"drop", {"ALL"}}}}}},
      {"terminationMessagePolicy", "FallbackToLogsOnError"}};
  if (!defaults.image_pull_policy.empty() && spec.runtime.image.empty())
    container["imagePullPolicy"] = defaults.image_pull_policy;
  return container;
}

Json MakeVolumes(const FunctionSpec& spec, const PodDefaults& defaults) {
  Json volumes = {{{"name", "state"}, {"emptyDir", Json::object()}},
                  {{"name", "tmp"}, {"emptyDir", Json::object()}}};
  if (!defaults.tls_secret.empty())
    volumes.push_back(
        {{"name", "tls"}, {"secret", {{"secretName", defaults.tls_secret}, {"defaultMode", 0440}}}});
  if (!spec.artifact.credentials_secret.empty()) {
    volumes.push_back(
        {{"name", "artifact-credentials"},
         {"secret", {{"secretName", spec.artifact.credentials_secret}, {"defaultMode", 0440}}}});
  }
  if (!spec.artifact.image.empty()) {
    volumes.push_back({{"name", "module"}, {"image", {{"reference", spec.artifact.image}}}});
  }
  return volumes;
}

Json MakeSpec(const FunctionSpec& spec, const PodDefaults& defaults) {
  const auto grace = std::chrono::ceil<std::chrono::seconds>(spec.timeout) + kGraceMargin;
  Json pod_spec = {{"restartPolicy", "Never"},
                   {"terminationGracePeriodSeconds", grace.count()},
                   {"automountServiceAccountToken", false},
                   {"enableServiceLinks", false},
                   {"securityContext",
                    {{"runAsNonRoot", true},
                     {"runAsUser", kUser},
                     {"runAsGroup", kUser},
                     {"fsGroup", kUser},
                     {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
                   {"containers", Json::array({MakeContainer(spec, defaults)})},
                   {"volumes", MakeVolumes(spec, defaults)}};
  if (!spec.runtime.service_account_name.empty()) {
    pod_spec["serviceAccountName"] = spec.runtime.service_account_name;
    pod_spec["automountServiceAccountToken"] = true;
  }
  if (!spec.runtime.node_selector.empty()) pod_spec["nodeSelector"] = spec.runtime.node_selector;
  if (!spec.runtime.tolerations.empty()) pod_spec["tolerations"] = MakeTolerations(spec.runtime);
  if (!spec.runtime.runtime_class_name.empty())
    pod_spec["runtimeClassName"] = spec.runtime.runtime_class_name;
  for (const std::string& secret : spec.image_pull_secrets) {
    pod_spec["imagePullSecrets"].push_back({{"name", secret}});
  }
  return pod_spec;
}

struct Owner {
  const char* kind;
  std::string name;
  std::string uid;
};

Json MakeOwners(const Owner& owner) {
  return {{{"apiVersion", "mayfly.dev/v1alpha1"},
           {"kind", owner.kind},
           {"name", owner.name},
           {"uid", owner.uid},
           {"controller", true},
           {"blockOwnerDeletion", true}}};
}

// `role` is the label that says whose the pod is.
Json MakeMetadata(const std::string& space, const std::string& name, const char* application,
                  const std::pair<std::string, std::string>& role, const PodOptions& options,
                  const Owner& owner, const std::string& replica_template, const PodDefaults& defaults) {
  // What a user adds cannot take the labels away by which the pod is found.
  std::map<std::string, std::string> labels = {
      {kManagedByLabel, kManagedBy}, {kNameLabel, application}, {kComponentLabel, kRuntime}, role};
  labels.insert(options.labels.begin(), options.labels.end());
  std::map<std::string, std::string> annotations = {
      {"kubectl.kubernetes.io/default-container", "runtime"},
      {"prometheus.io/scrape", "true"},
      {"prometheus.io/port", std::to_string(defaults.admin_port)},
      {kTemplateAnnotation, replica_template}};
  for (const auto& [key, value] : options.annotations) annotations[key] = value;
  return {{"name", name},
          {"namespace", space},
          {"labels", labels},
          {"annotations", annotations},
          {"ownerReferences", MakeOwners(owner)}};
}

std::string HashOf(const FunctionSpec& spec, const PodDefaults& defaults) {
  const Json meaning = {{"spec", MakeSpec(spec, defaults)},
                        {"labels", spec.runtime.labels},
                        {"annotations", spec.runtime.annotations}};
  return base::Sha256Hex(meaning.dump()).substr(0, 10);
}

// What a function would ask for that gets what the pool's pods are.
FunctionSpec SpecOf(const PoolPods& pool) {
  FunctionSpec spec;
  spec.timeout = kPoolTimeout;
  spec.resources = pool.spec.resources;
  spec.image_pull_secrets = pool.spec.image_pull_secrets;
  spec.runtime = pool.spec.pods;
  return spec;
}

}  // namespace

std::string MakePod(const Function& function, const std::string& name, const std::string& uid,
                    const PodDefaults& defaults) {
  const Json pod = {
      {"apiVersion", "v1"},
      {"kind", "Pod"},
      {"metadata",
       MakeMetadata(function.space, name, kFunctionApplication, {std::string(kFunctionLabel), function.name},
                    function.spec.runtime, {.kind = "Function", .name = function.name, .uid = uid},
                    PodTemplateHash(function, defaults), defaults)},
      {"spec", MakeSpec(function.spec, defaults)}};
  return pod.dump();
}

std::string PodTemplateHash(const Function& function, const PodDefaults& defaults) {
  return HashOf(function.spec, defaults);
}

std::string MakeIdlePod(const PoolPods& pool, const std::string& name, const std::string& uid,
                        const PodDefaults& defaults) {
  Json spec = MakeSpec(SpecOf(pool), defaults);
  // Not an argument: a pool's own image may hold an earlier runtime, to which it would be an unknown one.
  spec["containers"][0]["env"].push_back({{"name", "MAYFLY_SPARE_WORKER"}, {"value", "true"}});
  const Json pod = {
      {"apiVersion", "v1"},
      {"kind", "Pod"},
      {"metadata", MakeMetadata(pool.space, name, "mayfly-pool", {std::string(kPoolLabel), pool.pool},
                                pool.spec.pods, {.kind = "RuntimePool", .name = pool.pool, .uid = uid},
                                IdlePodTemplateHash(pool, defaults), defaults)},
      {"spec", std::move(spec)}};
  return pod.dump();
}

std::string IdlePodTemplateHash(const PoolPods& pool, const PodDefaults& defaults) {
  return HashOf(SpecOf(pool), defaults);
}

std::string MakeClaimPatch(const PodClaim& claim) {
  const Json patch = {
      {"metadata",
       {{"resourceVersion", claim.resource_version},
        {"labels",
         {{std::string(kPoolLabel), nullptr},
          {std::string(kFunctionLabel), claim.function},
          {kNameLabel, kFunctionApplication}}},
        {"annotations", {{kTemplateAnnotation, claim.replica_template}, {kFromPoolAnnotation, claim.pool}}},
        {"ownerReferences",
         MakeOwners({.kind = "Function", .name = claim.function, .uid = claim.function_uid})}}}};
  return patch.dump();
}

std::string NewPodName(const std::string& function) {
  // Kubernetes' own alphabet: no vowels, so no words.
  static constexpr char kAlphabet[] = "bcdfghjklmnpqrstvwxz2456789";
  thread_local std::minstd_rand random(std::random_device{}());
  std::uniform_int_distribution<std::size_t> any(0, sizeof(kAlphabet) - 2);
  std::string name = function.substr(0, kLongestPodName - kSuffix - 1);
  while (name.ends_with('-')) name.pop_back();
  name += '-';
  for (std::size_t i = 0; i < kSuffix; ++i) name += kAlphabet[any(random)];
  return name;
}

}  // namespace mayfly::op
