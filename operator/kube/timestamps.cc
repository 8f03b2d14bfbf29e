#include "operator/kube/timestamps.h"

#include "absl/time/time.h"

namespace mayfly::kube {

std::string FormatTime(base::WallTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(time), absl::UTCTimeZone());
}

std::string FormatMicroTime(base::WallTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::FromChrono(time), absl::UTCTimeZone());
}

}  // namespace mayfly::kube
