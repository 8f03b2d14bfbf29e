#include "operator/api/time_zone.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/time/time.h"
#include "operator/api/spec_bounds.h"

namespace mayfly::op {
namespace {

bool IsZone(const std::string& name, bool needed) {
  absl::TimeZone zone;
  return absl::LoadTimeZone(name, &zone) || (!needed && !absl::LoadTimeZone("America/New_York", &zone));
}

bool IsZoneName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxTimeZone && name.front() != '/' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
                  c == '_' || c == '-' || c == '+';
         });
}

}  // namespace

void ReadTimeZone(FieldReader& reader, bool needed, std::string& zone) {
  if (!reader.Text("timeZone", zone)) return;
  if (!IsZoneName(zone)) {
    reader.Wrong("timeZone",
                 fmt::format("{} is not the name of a time zone; use one of the IANA database, such as "
                             "Europe/Paris",
                             Quote(zone)));
  } else if (!IsZone(zone, needed)) {
    reader.Wrong("timeZone", fmt::format("there is no time zone {}; use one of the IANA database, such as "
                                         "Europe/Paris",
                                         Quote(zone)));
  }
}

}  // namespace mayfly::op
