// What mayfly-operator is told on its command line.
#pragma once

#include <optional>
#include <string>

#include "base/log.h"
#include "operator/kube/leader_elector.h"
#include "operator/kube/load_config.h"
#include "operator/pki/certificate_keeper.h"
#include "operator/pods/kubernetes_cluster.h"

namespace mayfly::op {

struct ProgramOptions {
  kube::LoadOptions kube;
  KubernetesClusterOptions cluster;
  kube::LeaderElectorOptions election;
  // TLS with gateways and runtimes: from an authority of its own (certificates.authority), or as in tls_folder. Neither: none.
  CertificateKeeperOptions certificates;
  std::string tls_folder;
  // Where KEDA dials; "": nowhere. With certificates of its own, and the name that is in KEDA's.
  std::string external_scaler_address;
  std::string external_scaler_tls;
  std::string external_scaler_client = "keda.mayfly.internal";
  std::string control_address = "0.0.0.0:9443";
  std::string admin_address;
  std::string base_url;
  int workers = 4;
  double queries_per_second = 100;
  base::log::Level log_level = base::log::Level::kInfo;
  base::log::Format log_format = base::log::Format::kLogfmt;
};

// The exit code if the program is to end at once (--help, a mistake), which has been told.
std::optional<int> ParseOptions(int argc, char** argv, ProgramOptions& options);

}  // namespace mayfly::op
