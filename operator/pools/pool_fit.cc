#include "operator/pools/pool_fit.h"

#include <fmt/format.h>

#include <algorithm>

#include "operator/api/units.h"

namespace mayfly::op {
namespace {

using Texts = std::map<std::string, std::string>;

// "1" and "1000m" are one amount.
bool SameAmount(const std::string& name, const std::string& a, const std::string& b) {
  if (a == b) return true;
  const auto parse = name == "cpu" ? &ParseCpu : &ParseQuantity;
  const auto first = parse(a);
  const auto second = parse(b);
  return first.ok() && second.ok() && *first == *second;
}

bool SameAmounts(const Texts& a, const Texts& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const auto& one, const auto& other) {
           return one.first == other.first && SameAmount(one.first, one.second, other.second);
         });
}

// The first entry of `asked` that `given` lacks; null if there is none.
const Texts::value_type* Missing(const Texts& asked, const Texts& given) {
  const auto lacks = std::find_if(asked.begin(), asked.end(), [&](const auto& entry) {
    const auto found = given.find(entry.first);
    return found == given.end() || found->second != entry.second;
  });
  return lacks == asked.end() ? nullptr : &*lacks;
}

std::string Or(const std::string& text, const char* otherwise) { return text.empty() ? otherwise : text; }

}  // namespace

std::string WhyNotFromPool(const Function& function, const RuntimePoolSpec& pool) {
  const FunctionSpec& spec = function.spec;
  const PodOptions& own = spec.runtime;
  const PodOptions& pods = pool.pods;
  if (!spec.artifact.credentials_secret.empty())
    return "spec.artifact.credentialsSecret is mounted as a volume, which a pod that runs cannot be given";
  if (spec.timeout > kPoolTimeout) {
    return fmt::format("spec.timeout {} is more than the {} that pods of a pool have to end",
                       FormatDuration(spec.timeout), FormatDuration(kPoolTimeout));
  }
  if (own.image != pods.image) {
    return fmt::format("spec.runtime.image is {}, and the pool's is {}", Or(own.image, "the default"),
                       Or(pods.image, "the default"));
  }
  if (own.service_account_name != pods.service_account_name) {
    return fmt::format("spec.runtime.serviceAccountName is {}, and the pool's is {}",
                       Or(own.service_account_name, "absent"), Or(pods.service_account_name, "absent"));
  }
  if (own.runtime_class_name != pods.runtime_class_name) {
    return fmt::format("spec.runtime.runtimeClassName is {}, and the pool's is {}",
                       Or(own.runtime_class_name, "absent"), Or(pods.runtime_class_name, "absent"));
  }
  const bool asks = !spec.resources.requests.empty() || !spec.resources.limits.empty();
  if (asks && !SameAmounts(spec.resources.requests, pool.resources.requests))
    return "spec.resources.requests are not the pool's";
  if (asks && !SameAmounts(spec.resources.limits, pool.resources.limits))
    return "spec.resources.limits are not the pool's";
  if (const auto* missing = Missing(own.node_selector, pods.node_selector)) {
    return fmt::format("spec.runtime.nodeSelector wants {}={}, which the pool does not", missing->first,
                       missing->second);
  }
  for (const Toleration& toleration : own.tolerations) {
    if (std::find(pods.tolerations.begin(), pods.tolerations.end(), toleration) == pods.tolerations.end())
      return "spec.runtime.tolerations has one that the pool has not";
  }
  if (const auto* missing = Missing(own.labels, pods.labels)) {
    return fmt::format("spec.runtime.podLabels has {}={}, which the pool's pods have not", missing->first,
                       missing->second);
  }
  if (const auto* missing = Missing(own.annotations, pods.annotations)) {
    return fmt::format("spec.runtime.podAnnotations has {}, which the pool's pods have not as it is there",
                       missing->first);
  }
  return "";
}

}  // namespace mayfly::op
