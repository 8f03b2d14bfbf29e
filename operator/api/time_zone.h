// Fields that name a time zone.
#pragma once

#include <string>

#include "operator/api/field_reader.h"

namespace mayfly::op {

// Reads timeZone, if it is there, into `zone`. A zone that this machine does not know is a mistake; if it has no database of
// zones (the package tzdata) only if it is `needed` here: where a trigger's schedule runs there may be one.
void ReadTimeZone(FieldReader& reader, bool needed, std::string& zone);

}  // namespace mayfly::op
