#include "operator/api/function_spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "operator/api/config_json.h"
#include "operator/api/destinations.h"
#include "operator/api/event_policy.h"
#include "operator/api/names.h"
#include "operator/api/pod_options.h"
#include "operator/api/scaling_schedules.h"
#include "operator/api/spec_bounds.h"
#include "operator/api/triggers.h"
#include "operator/api/units.h"

namespace mayfly::op {
namespace {

void CheckSha256(FieldReader& artifact, const std::string& sha256) {
  if (sha256.size() == 64 && sha256.find_first_not_of("0123456789abcdef") == std::string::npos) return;
  artifact.Wrong(
      "sha256",
      fmt::format("{} is not a digest; write the 64 lower-case hexadecimal digits that sha256sum prints",
                  Quote(sha256)));
}

void CheckUrl(FieldReader& artifact, const std::string& url) {
  const bool scheme = url.starts_with("https://") || url.starts_with("http://") || url.starts_with("s3://");
  if (!scheme || url.find_first_of(" \t\r\n") != std::string::npos || url.size() > kMaxUrlBytes) {
    artifact.Wrong(
        "url",
        fmt::format("{} is not a URL that is fetched; begin it with https://, http:// or s3://", Quote(url)));
  }
}

Artifact ReadArtifact(const YamlNode& node, const std::string& path, const std::filesystem::path& folder,
                      MistakeList& mistakes) {
  FieldReader reader(node, path, mistakes);
  Artifact artifact;
  std::vector<std::string> sources;
  const auto source = [&](std::string_view name) {
    const bool given = reader.Find(name) != nullptr;
    if (given) sources.emplace_back(name);
    return given;
  };
  if (source("path") && reader.Text("path", artifact.path)) {
    if (artifact.path.empty() || artifact.path.find('\0') != std::string::npos) {
      reader.Wrong("path", "is empty; give the path of the module, as in path: build/thumbnail.so");
    } else if (artifact.path.size() > kMaxPathBytes) {
      reader.Wrong("path", fmt::format("has {} bytes; use at most {}", artifact.path.size(), kMaxPathBytes));
    } else if (folder.empty() && !artifact.path.starts_with('/')) {
      // As if that folder were the root: ".." does not leave it.
      artifact.path =
          kImageModuleFolder + ("/" / std::filesystem::path(artifact.path)).lexically_normal().string();
    } else {
      artifact.path = (folder / artifact.path).lexically_normal().string();
    }
  }
  if (source("url") && reader.Text("url", artifact.url)) CheckUrl(reader, artifact.url);
  if (source("image") && reader.Text("image", artifact.image)) {
    const std::string wrong = CheckImage(artifact.image);
    if (!wrong.empty()) reader.Wrong("image", wrong);
  }
  if (source("configMap")) {
    FieldReader map(*reader.Find("configMap"), reader.PathOf("configMap"), mistakes);
    const bool named = map.Text("name", artifact.config_map_name);
    const bool keyed = map.Text("key", artifact.config_map_key);
    if (map.is_map() && !named && map.Find("name") == nullptr)
      map.Wrong("name", "is missing; name the ConfigMap");
    if (map.is_map() && !keyed && map.Find("key") == nullptr)
      map.Wrong("key", "is missing; name the key that holds the module");
    std::string wrong = named ? CheckSubdomain(artifact.config_map_name) : "";
    if (!wrong.empty()) map.Wrong("name", wrong);
    wrong = keyed ? CheckConfigMapKey(artifact.config_map_key) : "";
    if (!wrong.empty()) map.Wrong("key", wrong);
    map.Finish();
  }
  if (reader.Text("sha256", artifact.sha256)) {
    CheckSha256(reader, artifact.sha256);
  } else if (!artifact.url.empty() && reader.Find("sha256") == nullptr) {
    reader.Wrong("sha256", "is missing; a module from a URL needs its digest: sha256sum prints it");
  }
  if (reader.Text("credentialsSecret", artifact.credentials_secret)) {
    const std::string wrong = CheckSubdomain(artifact.credentials_secret);
    if (!wrong.empty()) reader.Wrong("credentialsSecret", wrong);
    if (reader.Find("url") == nullptr)
      reader.Wrong("credentialsSecret", "is for a url; for an image give spec.imagePullSecrets");
  }
  if (reader.is_map() && sources.empty()) {
    reader.Wrong("", "says not where the module is; give one of path, url, image or configMap");
  }
  if (sources.size() > 1) {
    reader.Wrong(sources[1], fmt::format("{} are given together; keep one", fmt::join(sources, " and ")));
  }
  reader.Finish();
  return artifact;
}

std::map<std::string, std::string> ReadEnvironment(FieldReader& spec, MistakeList& mistakes) {
  std::map<std::string, std::string> environment;
  std::size_t bytes = 0;
  const std::vector<YamlNode>& items = spec.List("env", kMaxVariables, "{name: NAME, value: VALUE}");
  for (std::size_t n = 0; n < items.size(); n++) {
    FieldReader item(items[n], fmt::format("{}[{}]", spec.PathOf("env"), n), mistakes);
    std::string name;
    std::string value;
    const bool named = item.Text("name", name);
    item.Text("value", value);
    item.Refuse(
        "valueFrom",
        "values from Secrets, ConfigMaps and fields are not served by this version; write value instead");
    if (item.is_map() && item.Find("name") == nullptr) item.Wrong("name", "is missing; name the variable");
    if (named) {
      const std::string wrong = CheckVariableName(name);
      if (!wrong.empty()) item.Wrong("name", wrong);
    }
    if (value.find('\0') != std::string::npos)
      item.Wrong("value", "has a NUL character, which no variable can hold");
    item.Finish();
    bytes += name.size() + value.size() + 2;
    if (named && !environment.emplace(name, value).second) {
      item.Wrong("name", fmt::format("{} is set twice; keep one of the two", Quote(name)));
    }
  }
  if (bytes > kMaxEnvironmentBytes) {
    spec.Wrong("env", fmt::format("has {} bytes together; at most 128 KiB are allowed", bytes));
  }
  spec.Refuse("envFrom",
              "variables from Secrets and ConfigMaps are not served by this version; list them in env");
  return environment;
}

Scaling ReadScaling(const YamlNode& node, const std::string& path, MistakeList& mistakes) {
  FieldReader reader(node, path, mistakes);
  Scaling scaling;
  const bool least = reader.Integer("minReplicas", kMinReplicas, scaling.min_replicas);
  const bool most = reader.Integer("maxReplicas", kMaxReplicas, scaling.max_replicas);
  reader.Integer("targetUtilization", kTargetUtilization, scaling.target_utilization);
  reader.Duration("scaleToZeroAfter", kScaleToZeroAfter, scaling.scale_to_zero_after);
  scaling.schedules = ReadSchedules(reader, scaling.max_replicas, mistakes);
  if ((least || most) && scaling.min_replicas > scaling.max_replicas) {
    reader.Wrong(
        least ? "minReplicas" : "maxReplicas",
        fmt::format("minReplicas {} is more than maxReplicas {}; raise maxReplicas or lower minReplicas",
                    scaling.min_replicas, scaling.max_replicas));
  }
  reader.Finish();
  return scaling;
}

}  // namespace

FunctionSpec ReadFunctionSpec(const YamlNode& node, const std::filesystem::path& folder,
                              MistakeList& mistakes) {
  FieldReader reader(node, "spec", mistakes);
  FunctionSpec spec;
  if (const YamlNode* artifact = reader.Find("artifact")) {
    spec.artifact = ReadArtifact(*artifact, reader.PathOf("artifact"), folder, mistakes);
  } else if (reader.is_map()) {
    reader.Wrong("artifact",
                 "is missing; say where the module is, as in artifact: {path: build/thumbnail.so}");
  }
  if (reader.Text("handler", spec.handler)) {
    const std::string wrong = CheckLabelName(spec.handler);
    if (!wrong.empty()) reader.Wrong("handler", wrong);
  }
  if (const YamlNode* config = reader.Find("config")) {
    spec.config_json = ConfigToJson(*config, reader.PathOf("config"), mistakes);
  }
  spec.environment = ReadEnvironment(reader, mistakes);
  reader.Integer("concurrency", kConcurrency, spec.concurrency);
  reader.Duration("timeout", kTimeout, spec.timeout);
  spec.resources = ReadResources(reader, mistakes);
  spec.memory_limit_bytes = MemoryLimit(spec.resources);
  if (const YamlNode* limits = reader.Find("limits")) {
    FieldReader limit_reader(*limits, reader.PathOf("limits"), mistakes);
    limit_reader.Quantity("maxRequestBytes", kMaxRequestBytes, spec.max_request_bytes);
    limit_reader.Finish();
  }
  if (const YamlNode* scaling = reader.Find("scaling")) {
    spec.scaling = ReadScaling(*scaling, reader.PathOf("scaling"), mistakes);
  }
  if (const YamlNode* retry = reader.Find("retry")) {
    spec.retry = ReadRetry(*retry, reader.PathOf("retry"), mistakes, Retry());
  }
  if (const YamlNode* destinations = reader.Find("destinations")) {
    spec.destinations = ReadDestinations(*destinations, reader.PathOf("destinations"), mistakes);
  }
  reader.Refuse("deadLetter",
                "is no field of this version; use destinations: {onFailure: {function: NAME}} instead");
  spec.image_pull_secrets = ReadImagePullSecrets(reader, mistakes);
  if (const YamlNode* runtime = reader.Find("runtime")) {
    spec.runtime = ReadRuntime(*runtime, reader.PathOf("runtime"), mistakes);
  }
  spec.triggers = ReadTriggers(reader, spec.retry, mistakes);
  reader.Finish();
  return spec;
}

}  // namespace mayfly::op
