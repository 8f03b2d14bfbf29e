// Any bytes are a kubeconfig that can be used or one sentence that names the file. Two texts are merged where a NUL
// divides the input.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kube/kubeconfig.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t divide = text.find('\0');
  std::vector<mayfly::kube::KubeconfigText> texts = {{"/fuzz/first", std::string(text.substr(0, divide))}};
  if (divide != std::string_view::npos) {
    texts.push_back({"/fuzz/second", std::string(text.substr(divide + 1))});
  }
  const auto config = mayfly::kube::ParseKubeconfig(texts, {});
  if (!config.ok()) {
    Require(config.status().message().find("/fuzz/") != absl::string_view::npos);
    return 0;
  }
  Require(config->server.starts_with("https://") || config->server.starts_with("http://"));
  Require(!config->insecure);
  Require(config->client_certificate.empty() == config->client_key.empty());
  return 0;
}
