// spec.scaling.schedules of a Function manifest.
#pragma once

#include <cstdint>
#include <vector>

#include "operator/api/field_reader.h"
#include "operator/api/function.h"

namespace mayfly::op {

// `scaling` reads spec.scaling, whose maxReplicas is `most`. What is wrong goes to `mistakes`.
std::vector<ScalingSchedule> ReadSchedules(FieldReader& scaling, std::int32_t most, MistakeList& mistakes);

}  // namespace mayfly::op
