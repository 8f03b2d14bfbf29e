// The source of triggers of kind nats: a pull consumer of a JetStream stream. See nats_consumer.h.
#pragma once

#include <memory>

#include "gateway/sources/source_factory.h"

namespace mayfly::gateway {

// Sources of the same servers and credentials share a connection.
std::unique_ptr<SourceFactory> MakeNatsFactory();

}  // namespace mayfly::gateway
