// The source of triggers of kind kafka: a member of a consumer group. See kafka_consumer.h.
#pragma once

#include <memory>

#include "gateway/sources/source_factory.h"

namespace mayfly::gateway {

std::unique_ptr<SourceFactory> MakeKafkaFactory();

}  // namespace mayfly::gateway
