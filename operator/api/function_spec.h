// spec of a Function manifest.
#pragma once

#include <filesystem>

#include "operator/api/field_reader.h"
#include "operator/api/function.h"

namespace mayfly::op {

// `folder` is where a relative artifact.path is taken from; "": there is none, so a relative one is a mistake.
FunctionSpec ReadFunctionSpec(const YamlNode& node, const std::filesystem::path& folder,
                              MistakeList& mistakes);

}  // namespace mayfly::op
