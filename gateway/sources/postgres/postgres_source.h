// Triggers of PostgreSQL: the changes of tables' rows, by logical replication. See PgReader.
#pragma once

#include <memory>

#include "gateway/sources/source_factory.h"

namespace mayfly::gateway {

std::unique_ptr<SourceFactory> MakePostgresFactory();

}  // namespace mayfly::gateway
