// Functions as `mayfly get` and `kubectl mayfly get` show them: a table, or all that is known of them.
#pragma once

#include <string>

#include "base/status.h"

namespace mayfly::cli {

struct ShowOptions {
  std::string output = "table";  // table, name, json, yaml
  // The namespace that is not shown before the names; "" to show each.
  std::string space = "default";
};

// `json` is one function, or {"functions": […]}. kInternal if it is neither.
absl::StatusOr<std::string> ShowFunctions(const std::string& json, const ShowOptions& options);

}  // namespace mayfly::cli
