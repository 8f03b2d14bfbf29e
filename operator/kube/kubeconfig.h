// Reads kubeconfig files.
//
// Several files are merged as kubectl does: a cluster, user or context that two files name is the first
// file's, and so is the current context. Relative paths are taken from the folder of the file that says them.
// An error names the file and the field:
//   /home/ada/.kube/config: users[admin].user.client-key-data: is not base64
//
// Reads nothing but the files it is given; what they refer to (certificates, tokens, plugins) is read by
// Credentials.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "operator/kube/config.h"

namespace mayfly::kube {

struct KubeconfigOptions {
  std::string context;  // "" for the files' current-context
  // Whether insecure-skip-tls-verify: true, or http to another machine, may be obeyed.
  bool allow_insecure = false;
};

struct KubeconfigText {
  std::string file;
  std::string text;
};

// REQUIRES: `files` is not empty.
absl::StatusOr<Config> LoadKubeconfig(const std::vector<std::string>& files,
                                      const KubeconfigOptions& options);

absl::StatusOr<Config> ParseKubeconfig(const std::vector<KubeconfigText>& texts,
                                       const KubeconfigOptions& options);

}  // namespace mayfly::kube
