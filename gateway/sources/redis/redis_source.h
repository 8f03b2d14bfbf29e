// The source of triggers of kind redis: a consumer of a group of streams. See redis_consumer.h.
#pragma once

#include <memory>

#include "gateway/sources/source_factory.h"

namespace mayfly::gateway {

// Sources of the same server and credentials share a thread, and a connection beside each one's own.
std::unique_ptr<SourceFactory> MakeRedisFactory();

}  // namespace mayfly::gateway
