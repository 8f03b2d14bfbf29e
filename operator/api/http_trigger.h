// spec.triggers[].http of a Function manifest, and what all triggers have in common that are reached by HTTP.
#pragma once

#include <string>

#include "operator/api/field_reader.h"
#include "operator/api/function.h"

namespace mayfly::op {

// `path` is the field's own. What is wrong goes to `mistakes`.
HttpTrigger ReadHttp(const YamlNode& node, const std::string& path, MistakeList& mistakes);

// The fields path, host and methods of `trigger`; `example`: of a path.
HttpTrigger ReadRoute(FieldReader& trigger, MistakeList& mistakes, const std::string& example);

}  // namespace mayfly::op
