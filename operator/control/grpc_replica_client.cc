#include "operator/control/grpc_replica_client.h"

#include <grpcpp/grpcpp.h>

#include <map>
#include <mutex>
#include <unordered_map>

#include "mayfly/v1/runtime.grpc.pb.h"

namespace mayfly::op {
namespace {

absl::Status ToStatus(const grpc::Status& status, const std::string& address) {
  if (status.ok()) return absl::OkStatus();
  // gRPC's codes are absl's.
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      address + ": " + status.error_message());
}

}  // namespace

struct GrpcReplicaClient::Impl {
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  std::function<std::string(const std::string&)> server_name;

  std::mutex mutex;
  bool cancelled = false;                                                     // guarded by mutex
  std::unordered_map<std::string, std::shared_ptr<v1::Runtime::Stub>> stubs;  // guarded by mutex
  std::map<grpc::ClientContext*, std::string> running;                        // guarded by mutex; addresses

  std::shared_ptr<v1::Runtime::Stub> StubLocked(const std::string& address) {
    auto& stub = stubs[address];
    if (!stub) {
      grpc::ChannelArguments arguments;
      // A replica that is not there yet comes within milliseconds.
      arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
      arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
      arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
      // Replicas must not share one connection through gRPC's global pool: names of sockets come again.
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      // Never through a proxy, whatever the environment says.
      arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
      if (server_name) arguments.SetSslTargetNameOverride(server_name(address));
      arguments.SetMaxReceiveMessageSize(64 << 20);
      stub = v1::Runtime::NewStub(grpc::CreateCustomChannel(address, credentials, arguments));
    }
    return stub;
  }

  template <typename Reply, typename Request, typename Method>
  absl::StatusOr<Reply> Call(const std::string& address, const Request& request,
                             std::chrono::milliseconds timeout, bool wait_for_ready, Method method) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    context.set_wait_for_ready(wait_for_ready);
    std::shared_ptr<v1::Runtime::Stub> stub;
    {
      std::lock_guard lock(mutex);
      if (cancelled) return absl::CancelledError("the operator stops");
      stub = StubLocked(address);
      running.emplace(&context, address);
    }
    Reply reply;
    const grpc::Status status = ((*stub).*method)(&context, request, &reply);
    {
      std::lock_guard lock(mutex);
      running.erase(&context);
      if (!status.ok() && cancelled) return absl::CancelledError("the operator stops");
    }
    if (!status.ok()) return ToStatus(status, address);
    return reply;
  }
};

GrpcReplicaClient::GrpcReplicaClient(std::shared_ptr<grpc::ChannelCredentials> credentials,
                                     std::function<std::string(const std::string&)> server_name)
    : impl_(std::make_unique<Impl>()) {
  impl_->credentials = credentials ? std::move(credentials) : grpc::InsecureChannelCredentials();
  impl_->server_name = std::move(server_name);
}

GrpcReplicaClient::~GrpcReplicaClient() = default;

absl::StatusOr<v1::LoadReply> GrpcReplicaClient::Load(const std::string& address,
                                                      const v1::LoadRequest& request,
                                                      std::chrono::milliseconds timeout) {
  return impl_->Call<v1::LoadReply>(address, request, timeout, /*wait_for_ready=*/true,
                                    &v1::Runtime::Stub::Load);
}

absl::StatusOr<v1::DrainReply> GrpcReplicaClient::Drain(const std::string& address,
                                                        const v1::DrainRequest& request,
                                                        std::chrono::milliseconds timeout) {
  return impl_->Call<v1::DrainReply>(address, request, timeout, /*wait_for_ready=*/false,
                                     &v1::Runtime::Stub::Drain);
}

absl::StatusOr<v1::DescribeReply> GrpcReplicaClient::Describe(const std::string& address,
                                                              std::chrono::milliseconds timeout) {
  return impl_->Call<v1::DescribeReply>(address, v1::DescribeRequest(), timeout, /*wait_for_ready=*/true,
                                        &v1::Runtime::Stub::Describe);
}

void GrpcReplicaClient::Forget(const std::string& address) {
  std::lock_guard lock(impl_->mutex);
  impl_->stubs.erase(address);
  for (auto& [context, called] : impl_->running) {
    if (called == address) context->TryCancel();
  }
}

void GrpcReplicaClient::Cancel() {
  std::lock_guard lock(impl_->mutex);
  impl_->cancelled = true;
  for (auto& [context, address] : impl_->running) context->TryCancel();
}

}  // namespace mayfly::op
