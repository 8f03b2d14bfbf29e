#include "operator/bin/options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <random>

namespace mayfly::op {
namespace {

// This process and no other: a container that is restarted in its pod is another candidate.
std::string NewIdentity() {
  char host[256] = {};
  if (::gethostname(host, sizeof(host) - 1) != 0) host[0] = '\0';
  std::random_device random;
  return fmt::format("{}_{:08x}", host, random());
}

}  // namespace

std::optional<int> ParseOptions(int argc, char** argv, ProgramOptions& options) {
  CLI::App app(
      "The brain of Mayfly in a Kubernetes cluster: makes pods as Functions and their demand ask for.\n"
      "Several may run; one leads. Gateways dial --control.",
      "mayfly-operator");
  options.election.name = "mayfly-operator";
  CertificateKeeperOptions& certificates = options.certificates;
  auto authority_seconds = certificates.rules.life.count();
  auto certificate_seconds = certificates.life.count();
  auto spread_seconds = certificates.rules.spread.count();
  options.election.space = "mayfly-system";
  app.add_option("--kubeconfig", options.kube.file,
                 "Where the API server is (default: as kubectl, or this pod's service account)");
  app.add_option("--context", options.kube.context, "A context of the kubeconfig");
  app.add_option("--namespace", options.cluster.space, "Look after this namespace alone (default: all)");
  app.add_option("--runtime-image", options.cluster.pods.image, "Image of replicas' pods")->required();
  app.add_option("--image-pull-policy", options.cluster.pods.image_pull_policy, "of that image")
      ->check(CLI::IsMember({"Always", "IfNotPresent", "Never"}));
  app.add_option(
      "--plain-http-registry", options.cluster.plain_http_registries,
      "A registry without TLS, HOST or HOST:PORT, out of which runtimes fetch modules; may be given "
      "again");
  app.add_option("--control", options.control_address, "Where gateways dial: HOST:PORT")
      ->capture_default_str();
  app.add_option("--admin", options.admin_address, "Where /metrics, /healthz and /readyz are: HOST:PORT");
  app.add_option("--base-url", options.base_url,
                 "What status.url begins with: where the gateways are reached");
  app.add_option("--lease-namespace", options.election.space, "Where the Lease is by which one leads")
      ->capture_default_str();
  app.add_option("--lease-name", options.election.name, "Its name")->capture_default_str();
  app.add_option("--identity", options.election.identity,
                 "This candidate's name (default: the host's, and chance)");
  const auto authority = app.add_option("--tls-authority", options.certificates.authority,
                                        "Secret beside the Lease, empty at first: an authority of the "
                                        "operator's own, for TLS with gateways and runtimes");
  const auto folder =
      app.add_option("--tls", options.tls_folder,
                     "Folder of tls.crt, tls.key and ca.crt of the operator: TLS with certificates of yours")
          ->excludes(authority);
  app.add_option("--tls-gateway-secret", options.certificates.gateway,
                 "Secret that gets the gateways' certificate")
      ->needs(authority);
  const auto runtime =
      app.add_option("--tls-runtime-secret", options.cluster.pods.tls_secret,
                     "Secret with the runtimes' certificate, in each namespace of Functions");
  authority->needs(runtime);
  folder->needs(runtime);
  app.add_option("--tls-authority-seconds", authority_seconds, "An authority's life")
      ->needs(authority)
      ->check(CLI::Range(600, 1'000'000'000));
  app.add_option("--tls-certificate-seconds", certificate_seconds, "A certificate's life")
      ->needs(authority)
      ->check(CLI::Range(60, 31'536'000));
  app.add_option("--tls-spread-seconds", spread_seconds,
                 "How long a changed Secret takes to reach every process, at most")
      ->needs(authority);
  const auto external_tls = app.add_option("--external-scaler-tls", options.external_scaler_tls,
                                           "Folder of tls.crt, tls.key and ca.crt for that: its name is what "
                                           "KEDA dials, ca.crt is whom it believes");
  app.add_option("--external-scaler", options.external_scaler_address,
                 "Where KEDA's external scalers dial: HOST:PORT (default: nowhere)")
      ->needs(external_tls);
  app.add_option("--external-scaler-client", options.external_scaler_client,
                 "The name that KEDA's certificate must have")
      ->capture_default_str();
  app.add_option("--workers", options.workers, "Functions reconciled at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--kube-qps", options.queries_per_second, "Requests a second to the API server, at most")
      ->check(CLI::Range(1.0, 10'000.0))
      ->capture_default_str();
  app.add_option("--log-level", options.log_level, "debug, info, warn or error")
      ->transform(CLI::CheckedTransformer(base::log::LevelNames()));
  app.add_option("--log-format", options.log_format, "logfmt or json")
      ->transform(CLI::CheckedTransformer(base::log::FormatNames()));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  certificates.space = options.election.space;
  certificates.runtime = options.cluster.pods.tls_secret;
  certificates.rules.life = std::chrono::seconds(authority_seconds);
  certificates.life = std::chrono::seconds(certificate_seconds);
  certificates.rules.spread = std::chrono::seconds(spread_seconds);
  if (options.election.identity.empty()) options.election.identity = NewIdentity();
  return std::nullopt;
}

}  // namespace mayfly::op
