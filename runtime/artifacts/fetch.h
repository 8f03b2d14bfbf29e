// Fetches a module into the cache that its order names, unless it is there by then.
#pragma once

#include "runtime/artifacts/download.h"
#include "runtime/artifacts/fetch_order.h"

namespace mayfly::runtime {

// `progress` hears at most four times a second how much has come.
std::optional<FetchFailure> FetchIntoCache(
    const FetchOrder& order, const std::function<void(std::uint64_t bytes, std::uint64_t total)>& progress);

}  // namespace mayfly::runtime
