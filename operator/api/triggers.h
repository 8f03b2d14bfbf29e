// spec.triggers: what calls a function.
#pragma once

#include <vector>

#include "operator/api/field_reader.h"
#include "operator/api/function.h"

namespace mayfly::op {

std::vector<Trigger> ReadTriggers(FieldReader& spec, MistakeList& mistakes);

// The HTTP triggers that the function is served by: its own, or, if it has no trigger of any kind, one named
// "http" for all methods at "/NAME" on any host.
std::vector<Trigger> EffectiveHttpTriggers(const Function& function);

}  // namespace mayfly::op
