#include "operator/kube/load_config.h"

#include <cstdlib>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "operator/kube/file_text.h"

namespace mayfly::kube {
namespace {

constexpr std::size_t kMaxNamespaceBytes = 1024;

std::string Variable(const LoadOptions& options, const std::string& name) {
  if (options.environment) return options.environment(name).value_or("");
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

std::vector<std::string> SplitPaths(const std::string& list) {
  std::vector<std::string> paths;
  std::size_t begin = 0;
  while (begin <= list.size()) {
    const std::size_t end = std::min(list.find(':', begin), list.size());
    if (end > begin) paths.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return paths;
}

}  // namespace

absl::StatusOr<Config> LoadInClusterConfig(const LoadOptions& options) {
  const std::string host = Variable(options, "KUBERNETES_SERVICE_HOST");
  const std::string port = Variable(options, "KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return absl::NotFoundError(
        "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  }
  Config config;
  config.origin = "in-cluster";
  const bool ipv6 = host.find(':') != std::string::npos;
  config.server = absl::StrCat("https://", ipv6 ? "[" : "", host, ipv6 ? "]" : "", ":", port);
  const std::string& folder = options.service_account_folder;
  config.token_file = folder + "/token";
  config.authority.file = folder + "/ca.crt";
  for (const std::string& file : {config.token_file, config.authority.file}) {
    if (std::error_code error; !std::filesystem::exists(file, error)) {
      return absl::NotFoundError(absl::StrCat(
          "in-cluster: ", file, " is missing: does the pod say automountServiceAccountToken: false?"));
    }
  }
  if (const auto space = ReadFileText(folder + "/namespace", kMaxNamespaceBytes); space.ok()) {
    config.space = std::string(absl::StripAsciiWhitespace(*space));
  }
  return config;
}

absl::StatusOr<Config> LoadConfig(const LoadOptions& options) {
  const KubeconfigOptions kubeconfig{.context = options.context, .allow_insecure = options.allow_insecure};
  if (!options.file.empty()) return LoadKubeconfig({options.file}, kubeconfig);

  if (const std::string list = Variable(options, "KUBECONFIG"); !list.empty()) {
    std::vector<std::string> files;
    for (const std::string& file : SplitPaths(list)) {
      if (std::error_code error; std::filesystem::exists(file, error)) files.push_back(file);
    }
    if (files.empty()) {
      return absl::NotFoundError(absl::StrCat("KUBECONFIG: no file of \"", list, "\" exists"));
    }
    return LoadKubeconfig(files, kubeconfig);
  }

  absl::StatusOr<Config> in_cluster = LoadInClusterConfig(options);
  if (in_cluster.ok()) return in_cluster;
  const std::string home = Variable(options, "HOME");
  const std::string file = home + "/.kube/config";
  if (std::error_code error; !home.empty() && std::filesystem::exists(file, error)) {
    return LoadKubeconfig({file}, kubeconfig);
  }
  return absl::NotFoundError(absl::StrCat("no Kubernetes configuration: KUBECONFIG is not set, ",
                                          home.empty() ? "~" : home, "/.kube/config does not exist; ",
                                          in_cluster.status().message()));
}

}  // namespace mayfly::kube
