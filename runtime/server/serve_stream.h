// A ServeStream is one gateway's stream of invocations: Runtime.Serve.
//
// Each message read is handed to the replica part by part. What the pool answers gathers in an outbox; one
// message at a time is written, and carries all that has gathered meanwhile: the busier the replica, the more
// invocations share the cost of a message.
//
// Bounds: a call's response by the windows its caller grants (the pool keeps to them), the calls by the
// slots, and the refusals of calls beyond those by not reading on until the peer has taken them. A peer that
// breaks the protocol (a call begun twice, data after its end) loses its stream with INVALID_ARGUMENT; parts
// for a call that is not there are ignored, because its result may have crossed them.
//
// Made by MakeServeStream(); lives until gRPC and every sink are done with it. Reads are handled on gRPC's
// threads one at a time; sinks come on the pool's; `mutex_` is never held while the replica or a call is
// called.
#pragma once

#include <grpcpp/support/server_callback.h>

#include "mayfly/v1/runtime.pb.h"
#include "runtime/server/replica.h"

namespace mayfly::runtime {

// The reactor of one Serve call. gRPC ends its life. `replica` must outlive it.
grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeReply>* MakeServeStream(Replica& replica);

}  // namespace mayfly::runtime
