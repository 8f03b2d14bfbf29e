// A ReplicaPool has replicas that run already and hold no module: a function that needs one takes it instead of waiting
// for one of its own.
//
// Taking is a matter of memory: nobody is asked, so that it costs microseconds. Who took a replica loads its module, and
// has the cluster told afterwards (Claim). What makes that safe is the runtime itself: the first function whose code may
// have run there binds it, and it loads no other's ever after, whoever asks.
//
//   Take ─ Load ─┬─ it serves, or its code may have run: Claim, and it is the function's own like any other
//                └─ refused before any code ran: GiveBack, and another function may take it
//
// Thread-safe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "operator/controller/cluster.h"

namespace mayfly::op {

// A replica that gateways may connect to before anybody needs it.
struct StandbyReplica {
  std::string space;    // its namespace
  std::string address;  // a gRPC target
};

class ReplicaPool {
 public:
  virtual ~ReplicaPool() = default;

  // A replica that nobody else gets, and that Cluster::Replicas(function) lists from now on. Does not block.
  //   kNotFound            there is no pool where the function is
  //   kFailedPrecondition  none fits it; the message is a sentence for people that says why
  //   kResourceExhausted   all that fit are taken
  virtual absl::StatusOr<Replica> Take(const Function& function) = 0;

  // Writes down that the replica is the function's own. Blocks on the cluster. Idempotent. kNotFound, kAborted: it is
  // gone, or somebody else's: it must not be used any more. After another error it may be tried again.
  virtual absl::Status Claim(const std::string& replica, const Function& function) = 0;

  // The function that took the replica does not use it any more. Another gets it once its runtime has said that nobody's
  // code ran there. Does nothing unless it was taken and not claimed. Does not block.
  virtual void GiveBack(const std::string& replica) = 0;

  // `changed` hears which replicas stand by, now and whenever others do: those that may be taken next, and those that are
  // taken and not claimed yet. One call at a time, on the thread of whoever changed it; it must not block. Null: nobody
  // hears any more, once this returns.
  virtual void OnStandby(std::function<void(const std::vector<StandbyReplica>& standby)> changed) = 0;
};

}  // namespace mayfly::op
