// The custom resource RuntimePool, mayfly.dev/v1alpha1: idle replicas that functions of the same namespace take.
//
// Only clusters have pools: one machine starts a runtime in milliseconds. Read as a Function is (see function_resource.h),
// and held to deploy/crds/runtimepools.yaml by the same test.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "operator/api/function.h"
#include "operator/api/function_status.h"
#include "operator/api/manifest.h"
#include "operator/api/object_meta.h"

namespace mayfly::op {

class MistakeList;

// The label of a pool's idle pods.
inline constexpr std::string_view kPoolLabel = "mayfly.dev/pool";

struct RuntimePoolSpec {
  std::int32_t size = 2;      // idle replicas that are kept at least
  std::int32_t max_size = 2;  // and at most; the same as `size` unless it is given
  Resources resources;
  std::vector<std::string> image_pull_secrets;
  PodOptions pods;

  bool operator==(const RuntimePoolSpec&) const = default;
};

struct RuntimePoolStatus {
  std::int64_t observed_generation = 0;
  std::vector<Condition> conditions;
  std::int32_t idle = 0;
  std::int32_t ready = 0;
  std::int32_t desired = 0;
  std::int64_t taken = 0;
};

struct RuntimePoolResource {
  ObjectMeta meta;
  // Set if spec has no mistake.
  std::optional<RuntimePoolSpec> spec;
  std::vector<Mistake> mistakes;
  std::optional<RuntimePoolStatus> status;
};

// kInvalidArgument if `json` is no object with a name.
absl::StatusOr<RuntimePoolResource> ParseRuntimePoolResource(std::string_view json);

// As FunctionStatusToJson(); `name` is the pool's.
std::string RuntimePoolStatusToJson(const RuntimePoolStatus& status, std::string_view name);

// The fields of a pool's spec. For the test that holds the CRD to them.
RuntimePoolSpec ReadRuntimePoolSpec(const YamlNode& node, MistakeList& mistakes);

}  // namespace mayfly::op
