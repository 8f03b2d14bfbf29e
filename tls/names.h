// The names in Mayfly's certificates (DNS names, in the domain that is reserved for private use): a role, not a host.
// Addresses of pods come and go; what counts is what a peer may do.
//
// A runtime's name has its namespace in it: the key of one namespace's runtimes is of no use in another.
#pragma once

#include <string>

namespace mayfly::tls {

inline constexpr char kOperatorName[] = "operator.mayfly.internal";
inline constexpr char kGatewayName[] = "gateway.mayfly.internal";

inline std::string RuntimeName(const std::string& space) { return space + ".runtime.mayfly.internal"; }

}  // namespace mayfly::tls
