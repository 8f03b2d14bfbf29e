#include "cli/cluster.h"

#include <strings.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "operator/kube/api_error.h"
#include "operator/kube/credentials.h"
#include "operator/kube/curl_transport.h"
#include "operator/kube/load_config.h"

namespace mayfly::cli {
namespace {

constexpr std::chrono::seconds kTimeout{30};
constexpr std::chrono::hours kFollowFor{24 * 365};
constexpr std::size_t kLongestLine = 1u << 20;

// An answer of the API server itself, and not of what is behind it.
bool IsStatusObject(const std::string& body) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  return json.is_object() && json.value("kind", "") == "Status" && json.value("apiVersion", "") == "v1";
}

}  // namespace

struct Cluster::Impl {
  explicit Impl(kube::Config config)
      : server(config.server),
        credentials(std::move(config), clock),
        transport(credentials, "kubectl-mayfly") {}

  absl::StatusOr<kube::HttpResponse> Send(const kube::HttpRequest& request,
                                          const kube::TransferOptions& options) {
    absl::StatusOr<kube::HttpResponse> response = transport.Send(request, options);
    if (response.ok() || absl::IsCancelled(response.status())) return response;
    return absl::Status(response.status().code(),
                        absl::StrCat("the cluster does not answer: ", response.status().message(),
                                     ". Is it the one you mean? --context and --kubeconfig choose another"));
  }

  base::RealClock clock;
  const std::string server;
  kube::Credentials credentials;
  kube::CurlTransport transport;
};

Cluster::Cluster() = default;
Cluster::~Cluster() = default;

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Open(const ClusterFlags& flags) {
  kube::LoadOptions options;
  options.file = flags.kubeconfig;
  options.context = flags.context;
  options.allow_insecure = true;  // as kubectl: who set it in their own file, meant it
  absl::StatusOr<kube::Config> config = kube::LoadConfig(options);
  if (!config.ok()) {
    return absl::Status(
        config.status().code(),
        absl::StrCat("no cluster is known: ", config.status().message(),
                     ". Name one with --kubeconfig or KUBECONFIG; without a cluster, use `mayfly` "
                     "with `mayfly up`"));
  }
  std::unique_ptr<Cluster> cluster(new Cluster);
  cluster->space_ = flags.space.empty() ? config->space : flags.space;
  cluster->impl_ = std::make_unique<Impl>(*std::move(config));
  return cluster;
}

absl::StatusOr<std::string> Cluster::Get(const std::string& path) const {
  kube::HttpRequest request;
  request.target = path;
  request.accept = "*/*";
  kube::TransferOptions options;
  options.deadline = std::chrono::steady_clock::now() + kTimeout;
  absl::StatusOr<kube::HttpResponse> response = impl_->Send(request, options);
  if (!response.ok()) return response.status();
  if (response->code / 100 != 2)
    return kube::StatusFromAnswer(response->code, response->body, response->retry_after);
  return std::move(response->body);
}

absl::Status Cluster::Follow(const std::string& path,
                             const std::function<void(std::string_view line)>& on_line,
                             std::stop_token stop) const {
  kube::HttpRequest request;
  request.target = path;
  request.accept = "*/*";
  std::string rest;
  kube::TransferOptions options;
  options.deadline = std::chrono::steady_clock::now() + kFollowFor;
  options.stop = stop;
  options.on_bytes = [&](std::string_view bytes) {
    rest.append(bytes);
    std::size_t begin = 0;
    for (std::size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n', begin)) {
      on_line(std::string_view(rest).substr(begin, end - begin));
      begin = end + 1;
    }
    rest.erase(0, begin);
    if (rest.size() > kLongestLine) {
      on_line(rest);
      rest.clear();
    }
    return true;
  };
  const absl::StatusOr<kube::HttpResponse> response = impl_->Send(request, options);
  if (!rest.empty()) on_line(rest);
  if (!response.ok()) return response.status();
  if (response->code / 100 != 2)
    return kube::StatusFromAnswer(response->code, response->body, response->retry_after);
  return absl::OkStatus();
}

absl::StatusOr<Cluster::Answer> Cluster::Send(const Call& call) const {
  kube::HttpRequest request;
  request.method = call.method;
  request.target = call.path;
  request.body = call.body;
  request.content_type = "application/octet-stream";
  request.accept = "*/*";
  for (const auto& [name, value] : call.headers) {
    if (::strcasecmp(name.c_str(), "content-type") == 0) {
      request.content_type = value;
    } else {
      request.headers.emplace_back(name, value);
    }
  }
  kube::TransferOptions options;
  options.deadline = std::chrono::steady_clock::now() + call.timeout;
  options.keep_headers = true;
  absl::StatusOr<kube::HttpResponse> response = impl_->Send(request, options);
  if (!response.ok()) return response.status();
  if (response->code / 100 != 2 && IsStatusObject(response->body))
    return kube::StatusFromAnswer(response->code, response->body, response->retry_after);
  return Answer{response->code, std::move(response->body), std::move(response->headers)};
}

}  // namespace mayfly::cli
