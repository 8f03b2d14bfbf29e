// `credentials` of a trigger's kind: the Secret by which its source says who it is.
#pragma once

#include <string>

#include "operator/api/field_reader.h"

namespace mayfly::op {

// The name of the Secret that `kind`.credentials names; "" if there are none. What is wrong goes to `mistakes`. The kind's
// parser puts it into EventTrigger.secret_name.
std::string ReadCredentials(FieldReader& kind, MistakeList& mistakes);

}  // namespace mayfly::op
