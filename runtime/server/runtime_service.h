// The gRPC face of a replica: mayfly.v1.Runtime with the callback API.
//
// Nothing blocks gRPC's threads: loads and drains run on threads of their own, a few at once; more are
// refused with RESOURCE_EXHAUSTED.
#pragma once

#include "mayfly/v1/runtime.grpc.pb.h"
#include "runtime/server/replica.h"
#include "runtime/server/task_threads.h"

namespace mayfly::runtime {

class RuntimeService final : public v1::Runtime::CallbackService {
 public:
  // `replica` must outlive the service.
  explicit RuntimeService(Replica& replica);

  grpc::ServerUnaryReactor* Load(grpc::CallbackServerContext* context, const v1::LoadRequest* request,
                                 v1::LoadReply* reply) override;
  grpc::ServerUnaryReactor* Invoke(grpc::CallbackServerContext* context, const v1::InvokeRequest* request,
                                   v1::InvokeReply* reply) override;
  grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeReply>* Serve(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context, const v1::DrainRequest* request,
                                  v1::DrainReply* reply) override;
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context, const v1::DescribeRequest* request,
                                     v1::DescribeReply* reply) override;

 private:
  Replica& replica_;
  TaskThreads tasks_;
};

}  // namespace mayfly::runtime
