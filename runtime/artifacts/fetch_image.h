// Gets the module out of an image: the manifest, for this platform if it is for several, then its layers from the highest
// down, until one has the file.
#pragma once

#include <string>

#include "runtime/artifacts/download.h"
#include "runtime/artifacts/fetch_order.h"
#include "runtime/artifacts/module_cache.h"

namespace mayfly::runtime {

// The file of an image that is the module: where `mayfly build --push` puts it.
inline constexpr char kImageModule[] = "module.so";

// Writes the module of `order.source.image` into the empty file `fd`, and its digest to `sha256`. The order's timeout
// counts from now.
std::optional<FetchFailure> FetchImage(const FetchOrder& order, const ModuleCache& cache, int fd,
                                       const DownloadProgress& progress, std::string& sha256);

}  // namespace mayfly::runtime
