// The page of a running `mayfly up` by which an event is called once more elsewhere; see ControlApi.
//
//   GET /v1/replay/ID   {"function", "module", "handler", "config", "environment", "attempt", "event", "body"}: of a dead letter or a
//                       pending event, and of the function as it is now; what mayfly-replay reads (replay/main.cc). "module" is ""
//                       if it is no file of this machine
#pragma once

#include "admin/admin_server.h"
#include "operator/local/local_cluster.h"

namespace mayfly::gateway {
class EventStore;
}  // namespace mayfly::gateway

namespace mayfly::cli {

// The cluster and the store must outlive the server.
void AddReplayPage(admin::AdminServer& server, const op::LocalCluster& cluster, gateway::EventStore& store);

}  // namespace mayfly::cli
