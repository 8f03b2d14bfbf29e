// Routes from a file instead of an operator: a RouteUpdate as protobuf's JSON.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

// Reads `path` as a snapshot with this version. kNotFound if there is no such file, kInvalidArgument with what is
// wrong and where if it cannot be understood.
absl::StatusOr<v1::RouteUpdate> ReadRouteFile(const std::string& path, std::uint64_t version);

}  // namespace mayfly::gateway
