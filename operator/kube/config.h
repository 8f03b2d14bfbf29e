// How to reach an API server and as whom: what a kubeconfig or a pod's service account says.
//
// Plain data. Files are named here and read by Credentials, again and again, since certificates and tokens are
// rotated under a running process.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mayfly::kube {

// PEM text, from the configuration itself or from a file. Both empty: none.
struct PemSource {
  std::string data;
  std::string file;

  bool empty() const { return data.empty() && file.empty(); }
};

// A program that says who we are (client.authentication.k8s.io).
struct ExecPlugin {
  std::string api_version;
  std::string command;  // a path, or a name that is looked for in PATH
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string install_hint;  // what to tell who lacks the program
  bool provide_cluster_info = false;
};

struct Config {
  std::string origin;   // where this came from: a file's name, or "in-cluster"
  std::string server;   // "https://host:6443", without a slash at its end
  PemSource authority;  // empty: the machine's own
  bool insecure = false;
  std::string tls_server_name;  // the name that the certificate must have, if not the server's
  std::string proxy_url;

  PemSource client_certificate;
  PemSource client_key;
  std::string token;
  std::string token_file;  // wins over `token`
  std::string username;
  std::string password;
  std::optional<ExecPlugin> exec;
  // As whom the server shall take us; "" for ourselves.
  std::string impersonate_user;
  std::string impersonate_uid;
  std::vector<std::string> impersonate_groups;

  std::string space = "default";  // the namespace to work in
};

}  // namespace mayfly::kube
