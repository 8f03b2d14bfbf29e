#include "runtime/server/runtime_server.h"

#include <fmt/format.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/status.h"
#include "grpc/health/v1/health.pb.h"
#include "runtime/server/invoke_call.h"
#include "runtime/server/runtime_service.h"

namespace mayfly::runtime {
namespace {

constexpr char kServiceName[] = "mayfly.v1.Runtime";
constexpr std::string_view kUnix = "unix:";

// Tells the health service what the replica can take.
class HealthReporter final : public CapacityListener {
 public:
  explicit HealthReporter(grpc::HealthCheckServiceInterface& health) : health_(health) {}
  void OnCapacity(const v1::Capacity& capacity) override {
    health_.SetServingStatus(kServiceName, capacity.slots() > 0 && !capacity.draining());
  }

 private:
  grpc::HealthCheckServiceInterface& health_;
};

}  // namespace

struct RuntimeServer::Impl {
  explicit Impl(Replica& its_replica) : replica(its_replica), service(its_replica) {}

  Replica& replica;
  std::string address;
  RuntimeService service;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<HealthReporter> health;
};

RuntimeServer::RuntimeServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

RuntimeServer::~RuntimeServer() {
  if (impl_->health) impl_->replica.Unsubscribe(impl_->health.get());
  Shutdown(std::chrono::system_clock::now());
}

const std::string& RuntimeServer::address() const { return impl_->address; }

absl::StatusOr<std::unique_ptr<RuntimeServer>> RuntimeServer::Start(
    const std::string& address, Replica& replica, std::shared_ptr<grpc::ServerCredentials> credentials) {
  auto impl = std::make_unique<Impl>(replica);
  grpc::EnableDefaultHealthCheckService(true);
  // Keeps its descriptors in the program, where reflection looks for them.
  grpc::health::v1::HealthCheckRequest::descriptor();
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address, credentials ? std::move(credentials) : grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&impl->service);
  builder.SetMaxReceiveMessageSize(kLargestInvokeMessage + (1 << 20));
  builder.SetMaxSendMessageSize(kLargestInvokeMessage);
  // Two runtimes on one port would share its connections at random.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  // A peer that is gone without a word is noticed within half a minute, and its invocations are cancelled.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  const bool is_unix = address.starts_with(kUnix);
  impl->server = builder.BuildAndStart();
  if (!impl->server) {
    return absl::UnavailableError(
        fmt::format("cannot listen on {}: is the port taken, or the folder missing?", address));
  }
  // Between bind and this, the process's umask keeps others out; to change that here would change it for every thread.
  if (is_unix && ::chmod(address.c_str() + kUnix.size(), 0600) != 0) {
    return base::ErrnoStatus(errno, "restrict " + address);
  }
  impl->address = is_unix ? address : fmt::format("{}:{}", address.substr(0, address.rfind(':')), port);
  impl->health = std::make_unique<HealthReporter>(*impl->server->GetHealthCheckService());
  replica.Subscribe(impl->health.get());
  return std::unique_ptr<RuntimeServer>(new RuntimeServer(std::move(impl)));
}

void RuntimeServer::Shutdown(std::chrono::system_clock::time_point deadline) {
  impl_->replica.Close();
  impl_->server->Shutdown(deadline);
}

}  // namespace mayfly::runtime
