// spec.triggers[].redis of a Function manifest.
#pragma once

#include <string>

#include "mayfly/v1/triggers.pb.h"
#include "operator/api/field_reader.h"

namespace mayfly::op {

// `path` is the field's own. What is wrong goes to `mistakes`. Sets redis and secret_name of `trigger`.
void ReadRedis(const YamlNode& node, const std::string& path, MistakeList& mistakes,
               v1::EventTrigger* trigger);

}  // namespace mayfly::op
