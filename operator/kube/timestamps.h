// Times as Kubernetes writes them: UTC, RFC 3339.
#pragma once

#include <string>

#include "base/clock.h"

namespace mayfly::kube {

// "2026-01-02T03:04:05Z": metav1.Time.
std::string FormatTime(base::WallTime time);
// "2026-01-02T03:04:05.000000Z": metav1.MicroTime.
std::string FormatMicroTime(base::WallTime time);

}  // namespace mayfly::kube
