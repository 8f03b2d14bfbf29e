// Where events are kept: a folder, which one gateway at a time may have.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"
#include "gateway/store/sqlite/sqlite_event_store.h"

namespace mayfly::gateway {

// Makes the folder, and those above it, if they are missing, for their owner alone: the store holds what callers have sent.
// Opens the store in it. `option` names the flag that chooses another folder, for errors; `clock` must outlive the store.
absl::StatusOr<std::unique_ptr<SqliteEventStore>> OpenEventsFolder(const std::string& folder,
                                                                   std::string_view option,
                                                                   const base::Clock& clock);

}  // namespace mayfly::gateway
