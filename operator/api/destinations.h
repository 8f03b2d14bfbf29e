// spec.destinations of a Function manifest: where the results of events go.
#pragma once

#include <string>

#include "operator/api/field_reader.h"
#include "operator/api/function.h"

namespace mayfly::op {

// `path` is the field's own. What is wrong goes to `mistakes`.
Destinations ReadDestinations(const YamlNode& node, const std::string& path, MistakeList& mistakes);

}  // namespace mayfly::op
