// What an operator does while it leads: one set of parts, made when it begins to and gone when it ends.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "operator/bin/options.h"
#include "operator/control/control_server.h"
#include "operator/control/grpc_replica_client.h"
#include "operator/external_scaler/external_scaler.h"
#include "operator/external_scaler/external_scaler_server.h"
#include "operator/kube/event_recorder.h"
#include "operator/operator.h"
#include "operator/pki/certificate_keeper.h"
#include "operator/pki/kube_secret_store.h"
#include "operator/pods/kubernetes_pools.h"
#include "operator/pools/pools.h"
#include "tls/identity.h"

namespace mayfly::op {

class Leadership {
 public:
  // Listens for gateways, reads what there is, and reconciles from then on. What is referred to must outlive it; `leads` is asked
  // before a trigger is leased to a gateway, or goes on to be.
  static absl::StatusOr<std::unique_ptr<Leadership>> Begin(const ProgramOptions& options, std::int64_t epoch,
                                                           std::function<bool()> leads, kube::Client& client,
                                                           const base::Clock& clock, base::Metrics& metrics);
  // Ends within seconds. Pods are left as they are; gateways go on with the routes they have.
  ~Leadership();

 private:
  Leadership() = default;

  // The namespaces where pods of Mayfly run.
  std::vector<std::string> Spaces() const;
  // Listens for KEDA, if it is to.
  absl::Status ServeKeda(const ProgramOptions& options, const base::Clock& clock, base::Metrics& metrics);
  // Who this operator is to gateways and runtimes, if it speaks TLS; null if not.
  absl::StatusOr<const tls::Identity*> OpenIdentity(const ProgramOptions& options, kube::Client& client,
                                                    const base::Clock& clock, base::Metrics& metrics);

  // In the order in which they are made; each uses those before it.
  std::unique_ptr<kube::EventRecorder> events_;
  std::unique_ptr<KubernetesCluster> cluster_;
  std::unique_ptr<KubernetesPools> pool_cluster_;
  std::unique_ptr<KubeSecretStore> secrets_;
  std::unique_ptr<CertificateKeeper> certificates_;
  std::unique_ptr<tls::Identity> given_identity_;
  std::unique_ptr<GrpcReplicaClient> replicas_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<Pools> pools_;
  std::unique_ptr<Operator> operator_;
  std::unique_ptr<tls::Identity> external_identity_;
  std::unique_ptr<ExternalScaler> external_scaler_;
  std::unique_ptr<ExternalScalerServer> external_server_;
};

}  // namespace mayfly::op
