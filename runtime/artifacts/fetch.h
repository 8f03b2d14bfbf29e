// Fetches a module into the cache that its order names, unless it is there by then.
#pragma once

#include <string>

#include "runtime/artifacts/download.h"
#include "runtime/artifacts/fetch_order.h"

namespace mayfly::runtime {

// `progress` hears at most four times a second how much has come. `sha256` is the module's digest then, by which it is in
// the cache.
std::optional<FetchFailure> FetchIntoCache(const FetchOrder& order, const DownloadProgress& progress,
                                           std::string& sha256);

}  // namespace mayfly::runtime
