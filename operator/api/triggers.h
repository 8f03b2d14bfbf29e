// spec.triggers: what calls a function.
#pragma once

#include <vector>

#include "operator/api/field_reader.h"
#include "operator/api/function.h"

namespace mayfly::op {

// `retry` is the function's, for triggers that have none of their own.
std::vector<Trigger> ReadTriggers(FieldReader& spec, const Retry& retry, MistakeList& mistakes);

// The triggers by which requests come to the function: its own, webhooks among them, or, if it has no trigger of any kind,
// one named "http" for all methods at "/NAME" on any host.
std::vector<Trigger> EffectiveHttpTriggers(const Function& function);

}  // namespace mayfly::op
