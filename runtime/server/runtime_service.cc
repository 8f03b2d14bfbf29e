#include "runtime/server/runtime_service.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/server_context.h>

#include <chrono>
#include <string>

#include "runtime/server/invoke_call.h"
#include "runtime/server/serve_stream.h"
#include "tls/names.h"

namespace mayfly::runtime {
namespace {

constexpr std::size_t kMostTasks = 16;

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

const grpc::Status kBusy(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many commands run at once; try again");
const grpc::Status kNotForYou(grpc::StatusCode::PERMISSION_DENIED, "only the operator may do this");

// With TLS, only the operator commands; what a gateway's key opens is calls.
bool MayCommand(const grpc::CallbackServerContext& context) {
  const auto peer = context.auth_context();
  if (peer == nullptr || !peer->IsPeerAuthenticated()) return true;  // a socket that only its owner can reach
  const std::vector<grpc::string_ref> names = peer->FindPropertyValues(GRPC_PEER_DNS_PROPERTY_NAME);
  return names.size() == 1 && names[0] == tls::kOperatorName;
}

}  // namespace

RuntimeService::RuntimeService(Replica& replica) : replica_(replica), tasks_(kMostTasks) {}

grpc::ServerUnaryReactor* RuntimeService::Load(grpc::CallbackServerContext* context,
                                               const v1::LoadRequest* request, v1::LoadReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (!MayCommand(*context)) {
    reactor->Finish(kNotForYou);
    return reactor;
  }
  if (const absl::Status status = replica_.Admit(request->epoch()); !status.ok()) {
    reactor->Finish(ToGrpc(status));
    return reactor;
  }
  const bool runs = tasks_.Run("load", [this, reactor, request, reply] {
    const absl::Status status = replica_.Load(*request, *reply);
    reactor->Finish(ToGrpc(status));
  });
  if (!runs) reactor->Finish(kBusy);
  return reactor;
}

grpc::ServerUnaryReactor* RuntimeService::Invoke(grpc::CallbackServerContext* context,
                                                 const v1::InvokeRequest* request, v1::InvokeReply* reply) {
  return MakeInvokeCall(replica_, context, request, reply);
}

grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeReply>* RuntimeService::Serve(
    grpc::CallbackServerContext*) {
  return MakeServeStream(replica_);
}

grpc::ServerUnaryReactor* RuntimeService::Drain(grpc::CallbackServerContext* context,
                                                const v1::DrainRequest* request, v1::DrainReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (!MayCommand(*context)) {
    reactor->Finish(kNotForYou);
    return reactor;
  }
  if (const absl::Status status = replica_.Admit(request->epoch()); !status.ok()) {
    reactor->Finish(ToGrpc(status));
    return reactor;
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(request->deadline_ms());
  const bool runs = tasks_.Run("drain", [this, reactor, reply, deadline] {
    reply->set_remaining(replica_.Drain(deadline));
    reactor->Finish(grpc::Status::OK);
  });
  if (!runs) reactor->Finish(kBusy);
  return reactor;
}

grpc::ServerUnaryReactor* RuntimeService::Describe(grpc::CallbackServerContext* context,
                                                   const v1::DescribeRequest*, v1::DescribeReply* reply) {
  *reply = replica_.Describe();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace mayfly::runtime
