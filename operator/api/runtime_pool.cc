#include "operator/api/runtime_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/api/conditions.h"
#include "operator/api/field_reader.h"
#include "operator/api/json_document.h"
#include "operator/api/pod_options.h"
#include "operator/api/spec_bounds.h"

namespace mayfly::op {
namespace {

RuntimePoolStatus ReadStatus(const YamlNode& node) {
  const auto count = [&](std::string_view name) {
    return static_cast<std::int32_t>(
        std::clamp<std::int64_t>(IntegerOr(FindEntry(&node, name)), 0, INT32_MAX));
  };
  RuntimePoolStatus status;
  status.observed_generation = IntegerOr(FindEntry(&node, "observedGeneration"));
  status.conditions = ReadConditions(FindEntry(&node, "conditions"));
  status.idle = count("idle");
  status.ready = count("ready");
  status.desired = count("desired");
  status.taken = IntegerOr(FindEntry(&node, "taken"));
  return status;
}

}  // namespace

RuntimePoolSpec ReadRuntimePoolSpec(const YamlNode& node, MistakeList& mistakes) {
  FieldReader reader(node, "spec", mistakes);
  RuntimePoolSpec spec;
  reader.Integer("size", kPoolSize, spec.size);
  spec.max_size = spec.size;
  if (reader.Integer("maxSize", kPoolSize, spec.max_size) && spec.size > spec.max_size) {
    reader.Wrong("size", fmt::format("size {} is more than maxSize {}; raise maxSize or lower size",
                                     spec.size, spec.max_size));
  }
  spec.resources = ReadResources(reader, mistakes);
  spec.image_pull_secrets = ReadImagePullSecrets(reader, mistakes);
  spec.pods = ReadPodOptions(reader, mistakes);
  reader.Finish();
  return spec;
}

absl::StatusOr<RuntimePoolResource> ParseRuntimePoolResource(std::string_view json) {
  absl::StatusOr<YamlNode> object = ParseJson(json);
  if (!object.ok()) return object.status();
  absl::StatusOr<ObjectMeta> meta = ReadObjectMeta(*object);
  if (!meta.ok()) return meta.status();

  RuntimePoolResource resource;
  resource.meta = *std::move(meta);
  MistakeList mistakes("", UnknownFields::kIgnore);
  FieldReader reader(*object, "", mistakes);
  if (const YamlNode* spec = reader.Find("spec")) {
    resource.spec = ReadRuntimePoolSpec(*spec, mistakes);
  } else {
    reader.Wrong("spec", "is missing; write spec: {size: 2}");
  }
  if (!mistakes.empty()) {
    resource.spec.reset();
    resource.mistakes = mistakes.Take();
  }
  if (const YamlNode* status = FindEntry(&*object, "status")) resource.status = ReadStatus(*status);
  return resource;
}

std::string RuntimePoolStatusToJson(const RuntimePoolStatus& status, std::string_view name) {
  const nlohmann::json json = {
      {"observedGeneration", status.observed_generation},
      {"conditions", ConditionsToJson(status.conditions, status.observed_generation)},
      {"idle", status.idle},
      {"ready", status.ready},
      {"desired", status.desired},
      {"taken", status.taken},
      {"selector", std::string(kPoolLabel) + "=" + std::string(name)}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace mayfly::op
