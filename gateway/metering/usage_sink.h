// Where usage records go.
#pragma once

#include <string>

#include "base/status.h"

namespace mayfly::gateway {

// Used by one thread at a time.
class UsageSink {
 public:
  virtual ~UsageSink() = default;

  // Appends whole lines, all of them or none. After an error they are given again, the same, before others are. Blocks as
  // long as the device takes, and not for ever.
  virtual absl::Status Append(const std::string& lines) = 0;
};

}  // namespace mayfly::gateway
