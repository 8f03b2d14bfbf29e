// The addresses that the operator's name stands for.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace mayfly::gateway {

// gRPC targets ("ipv4:10.0.0.7:9443", "ipv6:[::1]:9443") of all addresses of `target`, HOST:PORT, in an order of
// chance; a "unix:" target as it is. Asks DNS, with the patience of the machine's resolver. kInvalidArgument if it is no
// HOST:PORT, kUnavailable if the name is not known now.
absl::StatusOr<std::vector<std::string>> ResolveOperator(const std::string& target);

}  // namespace mayfly::gateway
