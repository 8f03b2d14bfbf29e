// spec of a Function manifest.
#pragma once

#include <filesystem>

#include "operator/api/field_reader.h"
#include "operator/api/function.h"

namespace mayfly::op {

// Where, inside the runtime's image, a relative artifact.path is taken from in a cluster.
inline constexpr char kImageModuleFolder[] = "/functions";

// `folder` is where a relative artifact.path is taken from; "": kImageModuleFolder, as if that were the root, so that the
// manifest which names ../../build/f.so beside its sources finds /functions/build/f.so in an image.
FunctionSpec ReadFunctionSpec(const YamlNode& node, const std::filesystem::path& folder,
                              MistakeList& mistakes);

}  // namespace mayfly::op
