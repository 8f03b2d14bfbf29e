// A Function as the API server keeps it: JSON in, the same Function out that a manifest gives, with what Kubernetes adds.
//
//   auto resource = ParseFunctionResource(json);
//   resource->meta.uid, …                 whatever spec says
//   resource->document.function           set if spec has no mistake
//   resource->document.mistakes           else: why, for the condition Ready and an Event
//
// The API server has checked the object against the CRD, and has pruned or refused what the CRD does not know. So a
// field that this program does not know is one of a newer version's CRD, and is passed over: see UnknownFields. What
// is left to refuse is what a schema cannot say, and what an older CRD let in.
//
// Never throws. Thread-safe.
#pragma once

#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "operator/api/function.h"
#include "operator/api/manifest.h"
#include "operator/api/object_meta.h"

namespace mayfly::op {

struct FunctionResource {
  ObjectMeta meta;
  // key, and the Function or its mistakes, whose places are fields alone. The Function's name, namespace, labels and
  // generation are those of `meta`. artifact.path is absolute, inside the
  // runtime's image: a relative one is taken from /functions.
  ManifestDocument document;
  // As last written; absent if there is none yet.
  std::optional<FunctionStatus> status;
};

// kInvalidArgument if `json` is no object with a name, as the API server never sends it.
absl::StatusOr<FunctionResource> ParseFunctionResource(std::string_view json);

}  // namespace mayfly::op
