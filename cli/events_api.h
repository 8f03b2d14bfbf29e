// The pages of a running `mayfly up` about events; see ControlApi.
//
//   GET  /v1/events?function=F&trigger=T&most=N       {"sums": […], "events": […]}: pending ones, oldest first
//   GET  /v1/deadletters?function=F&trigger=T&reason=R&after=ID&most=N   {"letters": […]}
//   GET  /v1/deadletters/ID                           one, with its history and body
//   POST /v1/deadletters/redrive, …/purge             the same selection, or id=ID: {"count": N}
//
// A page waits for the store's answer, ten seconds at most.
#pragma once

#include "admin/admin_server.h"

namespace mayfly::gateway {
class EventStore;
class Gateway;
}  // namespace mayfly::gateway

namespace mayfly::cli {

// The gateway and the store must outlive the server.
void AddEventPages(admin::AdminServer& server, const gateway::Gateway& gateway, gateway::EventStore& store);

}  // namespace mayfly::cli
