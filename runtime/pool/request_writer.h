// Lays a Start out in a request area, so that the worker reads it in place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/status.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::runtime {

// Writes all but the body into an area of `room` bytes, and returns where the body begins. kResourceExhausted if it does
// not fit.
absl::StatusOr<std::size_t> WriteRequestHead(const v1::Start& start, std::uint64_t deadline_ns, char* area,
                                             std::size_t room);

// The body is complete: says how large it is.
void WriteBodySize(char* area, std::uint64_t size);

}  // namespace mayfly::runtime
