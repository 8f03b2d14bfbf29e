// The parts of spec that say what pods are like: resources, imagePullSecrets, runtime.
//
// They are read and checked everywhere, so that one manifest serves a machine and a cluster; only pods heed them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operator/api/field_reader.h"
#include "operator/api/function.h"

namespace mayfly::op {

// The field "resources" of `spec`.
Resources ReadResources(FieldReader& spec, MistakeList& mistakes);

// limits.memory in bytes; 0 if there is none.
std::uint64_t MemoryLimit(const Resources& resources);

// The field "imagePullSecrets" of `spec`: names of Secrets.
std::vector<std::string> ReadImagePullSecrets(FieldReader& spec, MistakeList& mistakes);

// spec.runtime of a Function.
PodOptions ReadRuntime(const YamlNode& node, const std::string& path, MistakeList& mistakes);

// The same fields in a mapping that has others too, such as the spec of a RuntimePool.
PodOptions ReadPodOptions(FieldReader& reader, MistakeList& mistakes);

}  // namespace mayfly::op
