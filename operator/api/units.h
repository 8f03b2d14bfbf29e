// Durations ("1h30m", "250ms") and quantities ("64Mi", "1G") as manifests write them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace mayfly::op {

// As in Go: decimal numbers each with a unit out of h, m, s, ms; "0" needs none. Whole milliseconds, at most
// 100 years. The error's message is a clause that says what is wrong and what to write.
absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text);

// As in Kubernetes: a decimal number with a suffix out of Ki, Mi, Gi, Ti, Pi, Ei, k, M, G, T, P, E or none.
// Whole bytes.
absl::StatusOr<std::uint64_t> ParseQuantity(std::string_view text);

// Processor time as in Kubernetes: "2", "0.5", "500m". In thousandths of a core.
absl::StatusOr<std::uint64_t> ParseCpu(std::string_view text);

// The shortest text that ParseDuration() or ParseQuantity() reads back: "1h30m", "64Mi".
std::string FormatDuration(std::chrono::milliseconds duration);
std::string FormatQuantity(std::uint64_t bytes);

}  // namespace mayfly::op
