// The list of the kinds of sources that a gateway serves.
#pragma once

#include "gateway/sources/source_factory.h"

namespace mayfly::gateway {

SourceFactories AllSources();

}  // namespace mayfly::gateway
