// A UsageStream writes usage records to a descriptor, such as standard output, from where a cluster's log collector takes
// them; logs of ours go to standard error.
#pragma once

#include <string>

#include "gateway/metering/usage_sink.h"

namespace mayfly::gateway {

class UsageStream final : public UsageSink {
 public:
  // `fd` must stay open.
  explicit UsageStream(int fd) : fd_(fd) {}

  // kDeadlineExceeded if nobody reads for a second.
  absl::Status Append(const std::string& lines) override;

 private:
  const int fd_;
  std::string unwritten_;  // of the lines that are given again
};

}  // namespace mayfly::gateway
