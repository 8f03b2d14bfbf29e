// FunctionStatus as the JSON of the /status subresource, and back.
//
// Times are written to the second, as Kubernetes does; what is read back and written again is the same text, so a
// writer that compares the two texts writes only what changed.
#pragma once

#include <string>
#include <string_view>

#include "operator/api/function.h"
#include "operator/api/yaml_document.h"

namespace mayfly::op {

// The label of a function's pods: what /scale selects, and `kubectl logs -l mayfly.dev/function=NAME`.
inline constexpr std::string_view kFunctionLabel = "mayfly.dev/function";

// How a writer says that a field is not there (any more).
enum class AbsentFields {
  kOmit,  // left out: for a PUT, or a server-side apply by the one owner of the fields
  kNull,  // null, which takes it away: for a merge patch
};

// The value of `status`, without the object around it; `name` is the function's. Keys are sorted, so equal statuses
// give equal texts.
std::string FunctionStatusToJson(const FunctionStatus& status, std::string_view name,
                                 AbsentFields absent = AbsentFields::kOmit);

// What is missing, or is none of ours, has its default.
FunctionStatus ReadFunctionStatus(const YamlNode& node);

}  // namespace mayfly::op
