// Reads small files whole: certificates, tokens, configurations.
#pragma once

#include <cstddef>
#include <string>

#include "base/status.h"

namespace mayfly::kube {

// The content of `file`. An error names the file: it is missing, no regular file, or larger than `most`.
absl::StatusOr<std::string> ReadFileText(const std::string& file, std::size_t most);

}  // namespace mayfly::kube
