// Functions as `mayfly get` and `kubectl mayfly get` show them: a table, or all that is known of them.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/status.h"

namespace CLI {
class App;
}

namespace mayfly::cli {

struct ShowOptions {
  std::string output = "table";  // table, name, json, yaml
  // The namespace that is not shown before the names; "" to show each.
  std::string space = "default";
  bool watch = false;
  // Rows of a list are for a terminal: of what is wrong they have a line's beginning. One function's is always whole.
  bool narrow = false;
};

// Adds what both commands call alike to `command`; parsing it fills `options`.
void AddShowOptions(CLI::App& command, ShowOptions& options);

// `json` is one function, or {"functions": […]}. kInternal if it is neither.
absl::StatusOr<std::string> ShowFunctions(const std::string& json, const ShowOptions& options);

// Prints what `read` gives, as ShowFunctions() takes it, narrow if standard output is a terminal; with shown.watch again
// whenever it has changed, looked at each `every`, until standard output is closed.
absl::Status PrintFunctions(const std::function<absl::StatusOr<std::string>()>& read,
                            const ShowOptions& shown, std::chrono::milliseconds every);

}  // namespace mayfly::cli
