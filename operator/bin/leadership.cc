#include "operator/bin/leadership.h"

#include <utility>

#include "base/log.h"

namespace mayfly::op {

absl::StatusOr<std::unique_ptr<Leadership>> Leadership::Begin(const ProgramOptions& options,
                                                              std::int64_t epoch, kube::Client& client,
                                                              const base::Clock& clock,
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
  made->cluster_ = std::make_unique<KubernetesCluster>(client, *made->events_, std::move(cluster));
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
  made->operator_ = std::make_unique<Operator>(*made->cluster_, *made->control_, *made->replicas_, clock,
                                               metrics, std::move(operator_options));
  if (absl::Status status = made->operator_->Start(); !status.ok()) return status;
  if (made->certificates_) made->certificates_->Start();  // once it is known which namespaces have Functions
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
      *secrets_, options.certificates, [this] { return cluster_->Spaces(); }, clock, metrics);
  return certificates_->Open();
}

Leadership::~Leadership() {
  if (replicas_) replicas_->Cancel();
  if (operator_) operator_->Stop();
  operator_.reset();
  control_.reset();
  replicas_.reset();
  certificates_.reset();
  given_identity_.reset();
  secrets_.reset();
  cluster_.reset();
  if (events_) events_->Stop();
}

}  // namespace mayfly::op
