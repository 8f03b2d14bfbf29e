// spec.triggers[].cron of a Function manifest.
#pragma once

#include <string>

#include "mayfly/v1/triggers.pb.h"
#include "operator/api/field_reader.h"

namespace mayfly::op {

// `path` is the field's own. What is wrong goes to `mistakes`.
v1::CronTrigger ReadCron(const YamlNode& node, const std::string& path, MistakeList& mistakes);

}  // namespace mayfly::op
