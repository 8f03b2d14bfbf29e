// An InvokeCall is one invocation for a person or a tool: Runtime.Invoke. The whole body in, the whole body
// out.
//
// Metering is in the reply, and in the trailers mayfly-wall-ms, mayfly-cpu-ms and mayfly-peak-rss-bytes.
#pragma once

#include <grpcpp/support/server_callback.h>

#include "mayfly/v1/runtime.pb.h"
#include "runtime/server/replica.h"

namespace mayfly::runtime {

// What Invoke takes and gives at most, body and all.
inline constexpr int kLargestInvokeMessage = 64 << 20;

// The reactor of one Invoke call. gRPC ends its life. `replica` must outlive it.
grpc::ServerUnaryReactor* MakeInvokeCall(Replica& replica, grpc::CallbackServerContext* context,
                                         const v1::InvokeRequest* request, v1::InvokeReply* reply);

}  // namespace mayfly::runtime
