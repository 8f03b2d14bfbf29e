// Finds the configuration as kubectl and controllers do.
//
// In this order: the file that is named; the files of $KUBECONFIG; the service account of the pod we run in;
// ~/.kube/config.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/status.h"
#include "operator/kube/config.h"
#include "operator/kube/kubeconfig.h"

namespace mayfly::kube {

struct LoadOptions {
  std::string file;     // of --kubeconfig
  std::string context;  // of --context; "" for the current one
  // Whether a configuration may turn off that the server is who it says it is.
  bool allow_insecure = false;

  // For tests: the environment, and where a pod finds its service account.
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::string service_account_folder = "/var/run/secrets/kubernetes.io/serviceaccount";
};

absl::StatusOr<Config> LoadConfig(const LoadOptions& options);

// The service account that Kubernetes gives each pod; kNotFound outside of one.
absl::StatusOr<Config> LoadInClusterConfig(const LoadOptions& options);

}  // namespace mayfly::kube
