// What a trigger's place at its server is called, where the manifest does not say: a consumer, or a group.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "gateway/sources/trigger_key.h"

namespace mayfly::gateway {

// "mayfly_NAMESPACE_FUNCTION_TRIGGER". No part can have a "_", so no two triggers have the same.
inline std::string DurableName(const TriggerKey& key) {
  std::string function = key.function;  // "namespace/name"
  if (const std::size_t slash = function.find('/'); slash != std::string::npos) function[slash] = '_';
  return absl::StrCat("mayfly_", function, "_", key.trigger);
}

}  // namespace mayfly::gateway
