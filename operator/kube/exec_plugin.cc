#include "operator/kube/exec_plugin.h"

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "operator/kube/json.h"
#include "operator/kube/subprocess.h"

namespace mayfly::kube {
namespace {

constexpr std::size_t kMaxOutput = 1u << 20;

// What the plugin learns about its caller, in KUBERNETES_EXEC_INFO.
std::string ExecInfo(const Config& config) {
  nlohmann::json spec = {{"interactive", false}};
  if (config.exec->provide_cluster_info) {
    nlohmann::json cluster = {{"server", config.server}};
    if (!config.authority.data.empty()) {
      cluster["certificate-authority-data"] = absl::Base64Escape(config.authority.data);
    }
    if (!config.tls_server_name.empty()) cluster["tls-server-name"] = config.tls_server_name;
    if (!config.proxy_url.empty()) cluster["proxy-url"] = config.proxy_url;
    if (config.insecure) cluster["insecure-skip-tls-verify"] = true;
    spec["cluster"] = std::move(cluster);
  }
  const nlohmann::json info = {
      {"apiVersion", config.exec->api_version}, {"kind", "ExecCredential"}, {"spec", std::move(spec)}};
  return info.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

absl::StatusOr<ExecCredential> ParseExecCredential(std::string_view text, const std::string& api_version) {
  JsonDocument document;
  if (absl::Status parsed = document.Parse(text); !parsed.ok()) return parsed;
  const JsonView root = document.root();
  if (root["kind"].Text() != "ExecCredential") {
    return absl::InvalidArgumentError("kind: must be ExecCredential");
  }
  if (root["apiVersion"].Text() != api_version) {
    return absl::InvalidArgumentError(
        absl::StrCat("apiVersion: must be ", api_version, ", as was asked for"));
  }
  const JsonView status = root["status"];
  ExecCredential credential;
  credential.token = status["token"].Text();
  credential.client_certificate = status["clientCertificateData"].Text();
  credential.client_key = status["clientKeyData"].Text();
  if (credential.client_certificate.empty() != credential.client_key.empty()) {
    return absl::InvalidArgumentError(
        "status: clientCertificateData and clientKeyData must both be there, or neither");
  }
  if (credential.token.empty() && credential.client_certificate.empty()) {
    return absl::InvalidArgumentError("status: has neither a token nor a client certificate");
  }
  for (const char c : credential.token) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) {
      return absl::InvalidArgumentError("status.token: must not hold blanks or control characters");
    }
  }
  if (const std::string expires(status["expirationTimestamp"].Text()); !expires.empty()) {
    absl::Time time;
    if (std::string error; !absl::ParseTime(absl::RFC3339_full, expires, &time, &error)) {
      return absl::InvalidArgumentError("status.expirationTimestamp: must be a time as in RFC 3339");
    }
    credential.expires = absl::ToChronoTime(time);
  }
  return credential;
}

absl::StatusOr<ExecCredential> RunExecPlugin(const Config& config, base::MonotonicTime deadline) {
  const ExecPlugin& plugin = *config.exec;
  const std::string what = absl::StrCat(config.origin, ": the credential plugin ", plugin.command);
  Subprocess process;
  process.program = plugin.command;
  process.arguments = plugin.arguments;
  process.environment = plugin.environment;
  process.environment.emplace_back("KUBERNETES_EXEC_INFO", ExecInfo(config));
  process.max_output = kMaxOutput;
  absl::StatusOr<std::string> output = RunSubprocess(process, deadline);
  if (!output.ok()) {
    const bool missing = absl::IsNotFound(output.status()) && !plugin.install_hint.empty();
    return absl::Status(output.status().code(),
                        absl::StrCat(what, ": ", output.status().message(), missing ? ". " : "",
                                     missing ? plugin.install_hint : ""));
  }
  absl::StatusOr<ExecCredential> credential = ParseExecCredential(*output, plugin.api_version);
  if (!credential.ok()) return base::WithContext(credential.status(), what + " printed");
  return credential;
}

}  // namespace mayfly::kube
