#include "operator/bin/leadership.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace mayfly::op {

absl::StatusOr<std::unique_ptr<Leadership>> Leadership::Begin(const ProgramOptions& options,
                                                              std::int64_t epoch, std::function<bool()> leads,
                                                              kube::Client& client, const base::Clock& clock,
                                                              base::Metrics& metrics) {
  std::unique_ptr<Leadership> made(new Leadership);
  kube::EventRecorderOptions events;
  events.instance = options.election.identity;
  made->events_ = std::make_unique<kube::EventRecorder>(client, std::move(events));
  made->events_->Start();
  KubernetesClusterOptions cluster = options.cluster;
  if (!options.certificates.authority.empty())
    cluster.prepare = [leadership = made.get()](const std::string& space) {
      return leadership->certificates_->Prepare(space);
    };
  made->cluster_ = std::make_unique<KubernetesCluster>(client, *made->events_, cluster);
  made->pool_cluster_ =
      std::make_unique<KubernetesPools>(client, *made->events_, *made->cluster_, std::move(cluster));
  const auto identity = made->OpenIdentity(options, client, clock, metrics);
  if (!identity.ok()) return identity.status();
  ControlServerOptions control;
  if (*identity == nullptr) {
    made->replicas_ = std::make_unique<GrpcReplicaClient>(nullptr);
  } else {
    made->replicas_ = std::make_unique<GrpcReplicaClient>(
        (*identity)->ForChannels(), [cluster = made->cluster_.get()](const std::string& address) {
          return tls::RuntimeName(cluster->SpaceAt(address));
        });
    control.credentials = (*identity)->ForServer({tls::kGatewayName});
  }
  control.address = options.control_address;
  auto server = ControlServer::Start(std::move(control), clock, metrics);
  if (!server.ok()) return server.status();
  made->control_ = *std::move(server);
  OperatorOptions operator_options;
  operator_options.reconciler.base_url = options.base_url;
  operator_options.reconciler.epoch = static_cast<std::uint64_t>(epoch);
  operator_options.workers = options.workers;
  operator_options.leads = std::move(leads);
  made->pools_ = std::make_unique<Pools>(*made->pool_cluster_, *made->replicas_, clock, metrics);
  made->operator_ = std::make_unique<Operator>(*made->cluster_, *made->control_, *made->replicas_, clock,
                                               metrics, std::move(operator_options), &made->pools_->pool());
  if (absl::Status status = made->ServeKeda(options, clock, metrics); !status.ok()) return status;
  if (absl::Status status = made->operator_->Start(); !status.ok()) return status;
  // After the operator: pods are listed then, and one that a function has is no news to its pool.
  if (absl::Status status = made->pools_->Start(); !status.ok()) return status;
  if (made->certificates_) made->certificates_->Start();  // once it is known which namespaces have pods
  base::log::Info("leads", {{"epoch", epoch}, {"control", made->control_->address()}});
  return made;
}

absl::StatusOr<const tls::Identity*> Leadership::OpenIdentity(const ProgramOptions& options,
                                                              kube::Client& client, const base::Clock& clock,
                                                              base::Metrics& metrics) {
  if (!options.tls_folder.empty()) {
    auto identity = tls::Identity::FromFolder(options.tls_folder, clock, metrics);
    if (!identity.ok()) return identity.status();
    given_identity_ = *std::move(identity);
    return given_identity_.get();
  }
  if (options.certificates.authority.empty()) return nullptr;
  secrets_ = std::make_unique<KubeSecretStore>(client, *events_);
  certificates_ = std::make_unique<CertificateKeeper>(
      *secrets_, options.certificates, [this] { return Spaces(); }, clock, metrics);
  return certificates_->Open();
}

absl::Status Leadership::ServeKeda(const ProgramOptions& options, const base::Clock& clock,
                                   base::Metrics& metrics) {
  if (options.external_scaler_address.empty()) return absl::OkStatus();
  auto identity = tls::Identity::FromFolder(options.external_scaler_tls, clock, metrics);
  if (!identity.ok()) return base::WithContext(identity.status(), "the certificate for KEDA");
  external_identity_ = *std::move(identity);
  external_scaler_ = std::make_unique<ExternalScaler>(operator_->scaler(), clock);
  ExternalScalerOptions serve;
  serve.address = options.external_scaler_address;
  serve.credentials = external_identity_->ForServer({options.external_scaler_client});
  auto server = ExternalScalerServer::Start(std::move(serve), *external_scaler_, clock, metrics);
  if (!server.ok()) return server.status();
  external_server_ = *std::move(server);
  operator_->OnDemand(
      [server = external_server_.get()](const std::string& function) { server->Notice(function); });
  return absl::OkStatus();
}

std::vector<std::string> Leadership::Spaces() const {
  std::vector<std::string> spaces = cluster_->Spaces();
  const std::vector<std::string> of_pools = pool_cluster_->Spaces();
  spaces.insert(spaces.end(), of_pools.begin(), of_pools.end());
  std::sort(spaces.begin(), spaces.end());
  spaces.erase(std::unique(spaces.begin(), spaces.end()), spaces.end());
  return spaces;
}

Leadership::~Leadership() {
  if (replicas_) replicas_->Cancel();
  if (operator_) operator_->Stop();
  if (pools_) pools_->Stop();
  external_server_.reset();
  external_scaler_.reset();
  external_identity_.reset();
  operator_.reset();
  pools_.reset();
  control_.reset();
  replicas_.reset();
  certificates_.reset();
  given_identity_.reset();
  secrets_.reset();
  pool_cluster_.reset();
  cluster_.reset();
  if (events_) events_->Stop();
}

}  // namespace mayfly::op
