// Where asynchronous invocations are asked for by their id; see AsyncDispatcher.
#pragma once

#include <string_view>

namespace mayfly::gateway {

inline constexpr std::string_view kInvocationsPath = "/_mayfly/invocations/";

}  // namespace mayfly::gateway
